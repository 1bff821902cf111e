"""Validation scores the network of the stage: per frame, streaming, or on stills that move."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from mila.config import Params
from mila.model import Mila, build_model
from mila.overrides import check
from mila.training.stages import Stage, build_stages
from mila.training.update import Hardware
from mila.training.validation import Validation

HARDWARE = Hardware(torch.device("cpu"), None, 1, 5.0)


@dataclass
class State:
    evaluated: Mila


def settings(root: Path, *, stills: bool) -> Params:
    small = {"widths": [16, 16, 16, 16], "depths": [0, 1, 1, 1]}
    model = {"channels": 16, "head_channels": 8, "feature_stride": 8, "slow": small, "fast": small}
    return check({"data": {"root": str(root), "clips_from_stills": stills}, "model": model})


def stage(params: Params, name: str) -> Stage:
    return next(s for s in build_stages(params.train) if s.name == name)


@pytest.mark.parametrize("stills", [False, True])
def test_the_joint_stage_is_scored_on_frames_that_are_no_keyframes(
    stills: bool, tmp_path: Path, make_clip, make_shards
) -> None:
    frames = 1 if stills else 3
    keys = ("train-0", "val-0", "val-1")
    make_shards(tmp_path, [make_clip(k, frames=frames, height=32, width=48) for k in keys])
    params = settings(tmp_path, stills=stills)
    torch.manual_seed(0)
    state = State(build_model(params.model))
    validate = Validation(params, HARDWARE)

    joint = validate(state, stage(params, "joint"))  # type: ignore[arg-type]
    slow = validate(state, stage(params, "slow"))  # type: ignore[arg-type]
    assert validate(state, stage(params, "joint")) == joint  # type: ignore[arg-type]

    with torch.no_grad():  # other heads between keyframes, the same slow network
        for parameter in state.evaluated.heads.parameters():
            parameter.add_(torch.randn_like(parameter))
    assert validate(state, stage(params, "joint")) != joint  # type: ignore[arg-type]
    assert validate(state, stage(params, "slow")) == slow  # type: ignore[arg-type]
