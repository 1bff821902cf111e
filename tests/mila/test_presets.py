"""Presets of params/: valid, and their cost as the method's tables have it."""

from collections.abc import Callable

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mila.config import Params
from mila.cost import frame_costs, peer_settings
from mila.model import Mila
from mila.overrides import ROOT, load_params

PRESETS = sorted(path.stem for path in (ROOT / "params").glob("*.yaml"))
GMAC = 1e9


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid(name: str) -> None:
    assert isinstance(load_params([f"preset={name}"]), Params)


@pytest.mark.parametrize(
    ("name", "slow", "fast", "at_5", "at_10"),
    [
        ("paper", 538, 59, 0.700, 0.787),
        ("paper-s8", 1910, 76, 0.746, 0.839),
        ("paper-r50", 382, 59, 0.660, 0.744),
    ],
)
def test_paper_presets_cost_what_the_method_says(
    name: str, slow: float, fast: float, at_5: float, at_10: float
) -> None:
    costs = frame_costs(load_params([f"preset={name}"]).model, 1024, 2048)

    assert costs.slow_encoder / GMAC == pytest.approx(slow, rel=0.01)
    assert costs.fast_encoder / GMAC == pytest.approx(fast, rel=0.015)
    assert costs.saving(5) == pytest.approx(at_5, abs=0.004)
    assert costs.saving(10) == pytest.approx(at_10, abs=0.004)


@pytest.mark.parametrize("name", ["paper-half", "paper-nyud"])
def test_the_other_sizes_save_70_percent_at_10(name: str) -> None:
    params = load_params([f"preset={name}"])

    costs = frame_costs(params.model, params.world.height, params.world.width)

    assert costs.saving(10) >= 0.70


@pytest.mark.parametrize("name", [name for name in PRESETS if name.startswith("paper")])
def test_layers_of_paper_presets_equal_the_traced_count(name: str) -> None:
    """At true size, without weights; propagations are held against the counter in their tests."""
    params = load_params([f"preset={name}"])
    settings = peer_settings(params.model, "copy")
    height, width = params.world.height, params.world.width
    costs = frame_costs(settings, height, width)
    with torch.device("meta"):
        model = Mila(settings).eval()
        image = torch.empty(1, 3, height, width, dtype=torch.uint8)
        memory = model.step(image, None)[1]

        assert costs.slow == pytest.approx(traced(lambda: model.slow_predictions(image)), rel=0.01)
        assert costs.fast == pytest.approx(traced(lambda: model.fast_predictions(image)), rel=0.01)
        assert costs.non_keyframe == pytest.approx(
            traced(lambda: model.step(image, memory)), rel=0.01
        )


@pytest.mark.parametrize("name", [name for name in PRESETS if name.startswith("paper")])
def test_the_table_of_the_readme_is_true(name: str) -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(f"| `{name}` |")]
    cells = [cell.strip(" %") for cell in line.strip("|").split("|")[1:]]
    params = load_params([f"preset={name}"])
    size = (params.world.height, params.world.width)
    own = frame_costs(params.model, *size)
    modules = [
        frame_costs(peer_settings(params.model, kind), *size).propagation
        for kind in ("flow_warp", "score_fusion", "lvs")
    ]
    figures = [own.slow / GMAC, own.non_keyframe / GMAC, own.propagation / GMAC]
    figures += [100 * own.propagation / module for module in modules]
    figures += [100 * own.saving(k) for k in (3, 5, 10)]

    assert cells[0] == f"{size[0]}x{size[1]}"
    for cell, figure in zip(cells[1:], figures, strict=True):
        digits = len(cell.partition(".")[2])
        assert cell == f"{figure:.{digits}f}"


def traced(call: Callable[[], object]) -> float:
    """Multiply-adds by torch's counter."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() / 2
