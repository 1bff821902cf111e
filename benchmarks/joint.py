"""What a supervised frame of the joint stage costs: one keyframe for each, or one for several.

    python benchmarks/joint.py                     ILA, flow warp and predicted kernels, a minute
    python benchmarks/joint.py cases=tiny          seconds; what the tests run

Whole updates (forward, losses, backward, optimizer) of the demo's networks, fresh weights, slow
network frozen, random clips of 96x192 whose ages of the keyframe are drawn as in training. Time is
per supervised frame: those that lie before their keyframe do not count. `16 x 1, taught` has soft
targets and L1 of fused features, for which the slow network sees the supervised frames too; Muon
stands in for AdamW where it is named.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))
import measuring
import numpy as np
import torch

from flows.cluster import restart_with_environment
from mila.clip import Clip
from mila.config import (
    LossSettings,
    ModelSettings,
    Params,
    PropagationSettings,
    StageSettings,
)
from mila.data.draws import FrameDraw, draw_frames
from mila.losses import TaskLoss
from mila.model import build_model
from mila.training.optim import build_optimizer
from mila.training.stages import Stage, set_trained, trained_modules
from mila.training.update import Hardware, Players, update_joint
from mila.training.worker import choose_precision

FRAMES, MAX_OFFSET = 12, 10
CPU = torch.device("cpu")
ROUNDS = 7
BARE = LossSettings(soft=0.0, fused=0.0, align=0.0, adversary="none")
TAUGHT = LossSettings(align=0.0, adversary="none")
COLUMNS = (
    *("case", "design", "x_baseline", "baseline", "aim", "ok", "frames", "per_frame_ms"),
    *("median_ms", "min_ms", "p95_ms", "rounds", "load1"),
)


@dataclass(frozen=True)
class Design:
    """One form of an update."""

    clips: int
    supervised: int
    loss: LossSettings = BARE
    optimizer: Literal["adamw", "muon"] = "adamw"


@dataclass(frozen=True)
class Case:
    """One way of propagating."""

    propagation: PropagationSettings
    height: int = 96
    width: int = 192
    rounds: int = ROUNDS


BASELINE = "16 x 1, taught"
DESIGNS = {
    BASELINE: Design(16, 1, TAUGHT),
    "16 x 1": Design(16, 1),
    "12 x 3": Design(12, 3),
    "12 x 3, Muon": Design(12, 3, optimizer="muon"),
}
CASES = {
    "ila": Case(PropagationSettings()),
    "flow_warp": Case(PropagationSettings(kind="flow_warp", flow_width=24)),
    "lvs": Case(PropagationSettings(kind="lvs", radius=3)),
}
TINY = {"tiny": Case(PropagationSettings(), height=32, width=48, rounds=1)}


def main(argv: Sequence[str]) -> int:
    """Time every design of every case."""
    if list(argv) in (["help"], ["--help"], ["-h"]):
        measuring.say(__doc__ or "")
        return 0
    values = measuring.words({"cases": "all", "strict": "false", "table": "true"}, argv)
    torch.set_num_threads(1)
    lines = []
    for name, case in measuring.chosen(values["cases"], CASES, TINY).items():
        measuring.say(name)
        lines += _lines(name, case)
    for line in lines:
        measuring.emit(line)
    return measuring.finish("joint", lines, COLUMNS, values)


def _lines(name: str, case: Case) -> list[dict[str, object]]:
    batches = {d: _clips(case, design) for d, design in DESIGNS.items()}
    calls = {d: _updates(case, DESIGNS[d], clip) for d, clip in batches.items()}
    times = measuring.interleave(calls, rounds=case.rounds, slow_rounds=case.rounds, threads=1)
    shared = measuring.circumstances(1)
    frames = {d: _supervised(clip, DESIGNS[d]) for d, clip in batches.items()}
    per_frame = {d: timing.line()["median_ms"] / frames[d] for d, timing in times.items()}
    return [
        {
            **{"bench": "joint", "case": name, "design": d},
            "x_baseline": round(per_frame[BASELINE] / per_frame[d], 2),
            **{"baseline": BASELINE, "aim": None, "ok": True},
            "frames": frames[d],
            "per_frame_ms": round(per_frame[d], 3),
            **timing.line(),
            **shared,
        }
        for d, timing in times.items()
    ]


def _updates(case: Case, design: Design, clip: Clip) -> Callable[[int], measuring.Call]:
    """What makes the call of a round: one update of a model that trains on."""
    torch.manual_seed(0)
    model = build_model(ModelSettings(propagation=case.propagation))
    settings = StageSettings(optimizer=design.optimizer, learning_rate=1e-4)
    modules = trained_modules(Stage("joint", settings, seed=0), model, design.loss)
    set_trained(model, modules)
    optimizer = build_optimizer(modules, settings)
    players = Players(TaskLoss(model.tasks, design.loss), optimizer, supervised=design.supervised)
    hardware = Hardware(CPU, choose_precision("auto", CPU), world_size=1, clip_gradient=1.0)
    return lambda _: lambda: update_joint(model, clip, players, design.loss, hardware)


def _clips(case: Case, design: Design) -> Clip:
    """Random clips, drawn as the joint stage draws them."""
    params = Params(model=ModelSettings(propagation=case.propagation))
    train = params.train.model_copy(
        update={"supervised": design.supervised, "max_offset": MAX_OFFSET}
    )
    walk = params.model_copy(update={"train": train}).joint_walk
    draw = FrameDraw("offset", max_offset=MAX_OFFSET, walk=walk)
    random = np.random.default_rng(0)
    frames = [draw_frames(draw, FRAMES, range(FRAMES), random) for _ in range(design.clips)]
    generator = torch.Generator().manual_seed(0)
    shape = (design.clips, 1 + walk, case.height, case.width)
    images = (*shape[:2], 3, *shape[2:])
    return Clip(
        images=torch.randint(0, 256, images, dtype=torch.uint8, generator=generator),
        labels={
            "semseg": torch.randint(0, 19, shape, generator=generator),
            "depth": 1 + 60 * torch.rand(shape, generator=generator),
        },
        frames=torch.tensor(frames),
        keys=tuple(f"random-{index}" for index in range(design.clips)),
    )


def _supervised(clip: Clip, design: Design) -> int:
    """Frames of a batch that are supervised."""
    ages = clip.frames - clip.frames[:, :1]
    return int((ages[:, -design.supervised :] >= 1).sum())


if __name__ == "__main__":
    restart_with_environment()
    sys.exit(main(sys.argv[1:]))
