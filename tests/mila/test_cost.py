"""MACs by formula against torch's counter and by hand."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mila.config import EncoderSettings, ModelSettings, PropagationSettings
from mila.cost import cost_table, frame_costs, main
from mila.model import build_model
from mila.overrides import load_params

SIZE = (64, 96)


def traced(model: torch.nn.Module, run: object) -> float:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()  # type: ignore[operator]
    return counter.get_total_flops() / 2


def test_convolutional_paths_equal_the_traced_count() -> None:
    settings = ModelSettings(propagation=PropagationSettings(kind="copy"))
    model = build_model(settings).eval()
    image = torch.zeros(1, 3, *SIZE, dtype=torch.uint8)
    costs = frame_costs(model, *SIZE)
    memory = model.step(image, None)[1]

    assert costs.slow == pytest.approx(
        traced(model, lambda: model.slow_predictions(image)), rel=0.01
    )
    assert costs.fast == pytest.approx(
        traced(model, lambda: model.fast_predictions(image)), rel=0.01
    )
    assert costs.non_keyframe == pytest.approx(
        traced(model, lambda: model.step(image, memory)), rel=0.01
    )


@pytest.mark.parametrize("kind", ["resnet18", "resnet50"])
@pytest.mark.parametrize("neck", ["conv", "aspp"])
def test_public_trunks_equal_the_traced_count(kind: str, neck: str) -> None:
    encoder = EncoderSettings(kind=kind, neck=neck)  # type: ignore[arg-type]
    settings = ModelSettings(slow=encoder, fast=encoder, feature_stride=16, channels=32)
    model = build_model(settings).eval()
    image = torch.zeros(1, 3, *SIZE, dtype=torch.uint8)

    counted = frame_costs(settings, *SIZE).slow

    assert counted == pytest.approx(traced(model, lambda: model.slow_predictions(image)), rel=0.01)


def test_attention_by_hand() -> None:
    propagation = PropagationSettings(
        radius=1, key_channels=16, prior="motion", multi_frame=False, compare="high"
    )
    settings = ModelSettings(propagation=propagation)
    h, w = SIZE[0] // 4, SIZE[1] // 4
    pairs = (3 * h - 2) * (3 * w - 2)
    hints = prior = 4
    motion = 3 * 64 * h * w

    costs = frame_costs(settings, *SIZE)

    assert costs.propagation == 64 * 16 * h * w + motion + pairs * (16 + prior + 64 + hints)
    assert costs.preparation == 64 * 16 * h * w


def test_default_attention_by_hand() -> None:
    h, w = SIZE[0] // 4, SIZE[1] // 4
    pairs = (5 * h - 6) * (5 * w - 6)
    references, hints, prior = 2, 5, 4
    query, motion = 32 * 12 * h * w, 3 * 64 * h * w
    stem, stage = 27 * 16 * 4 * h * w, (9 * 16 * 32 + 9 * 32 * 32 + 16 * 32) * h * w

    costs = frame_costs(ModelSettings(), *SIZE)

    compared = 12 + references * prior
    assert costs.propagation == query + motion + references * pairs * (compared + 64 + hints)
    assert costs.preparation == query + stem + stage


def test_amortised_over_an_interval() -> None:
    costs = frame_costs(ModelSettings(), *SIZE)

    assert costs.amortised(1) == costs.slow
    assert costs.amortised(4) == (costs.keyframe + 3 * costs.non_keyframe) / 4
    assert costs.saving(10) > costs.saving(5) > 0


def test_the_paper_preset_saves_70_percent() -> None:
    params = load_params(["preset=paper"])

    costs = frame_costs(params.model, 1024, 2048)

    assert costs.slow_encoder == pytest.approx(538e9, rel=0.01)
    assert costs.fast_encoder == pytest.approx(59e9, rel=0.01)
    assert costs.saving(10) >= 0.70
    assert "flow_warp" in cost_table(params.model, 256, 512)


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["height=64", "width=64"]) == 0
    assert "| ila |" in capsys.readouterr().out
