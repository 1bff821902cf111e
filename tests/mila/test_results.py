"""The page of results: means over offsets, amortised cost, JSON that any reader takes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from mila.clip import Clip
from mila.cost import ModelCosts
from mila.evaluation import Evaluation, Protocol, evaluate
from mila.latency import Latency, Trace
from mila.model import Mila
from mila.results import Page, add_delta_m, gmac_per_frame, results_page, table, write_page

MakeModel = Callable[..., Mila]
MakeBatch = Callable[..., Clip]

COSTS = ModelCosts(
    slow=1_000_000_000,
    fast=100_000_000,
    keyframe=1_100_000_000,
    non_keyframe=200_000_000,
    propagation=50_000_000,
    slow_encoder=900_000_000,
    fast_encoder=60_000_000,
    heads=100_000_000,
    fusion=40_000_000,
    preparation=100_000_000,
)
LATENCY = Latency(
    slow=(20.0, 22.0),
    fast=(3.0, 5.0),
    trace=(Trace(24.0, True, 0), Trace(6.0, False, 1), Trace(26.0, True, 0), Trace(8.0, False, 1)),
)


@pytest.fixture
def evaluation(make_model: MakeModel, make_batch: MakeBatch) -> Evaluation:
    protocol = Protocol(("semseg", "depth"), "cityscapes", 80.0, (1, 2, 4), 4)
    return evaluate(make_model(), [make_batch(2, 4, flow=True)], protocol)


@pytest.fixture
def page(evaluation: Evaluation) -> Page:
    return results_page(evaluation, COSTS, LATENCY)


def test_the_page_has_what_its_readers_expect(page: Page) -> None:
    assert page["keyframe_interval"] == 4
    assert list(page["methods"]) == ["slow", "fast", "copy", "mila"]
    wanted = {"semseg/mean_iou", "depth/abs_rel", "gmac_per_frame", "ms_mean", "ms_max"}
    for figures in page["methods"].values():
        assert wanted <= set(figures)
    assert len(page["methods"]["mila"]["by_offset"]) == 4
    assert list(page["by_interval"]) == ["1", "2", "4"]
    assert page["by_interval"]["4"]["methods"] == page["methods"]
    assert [len(page["offsets"][method]) for method in ("copy", "mila")] == [4, 4]
    assert {"truth", "slow", "mila", "mila_refresh"} == set(page["consistency"])
    assert page["scored"] == {"clips": 2, "frames": {"1": 2, "2": 2, "4": 2}}


def test_figures_are_means_over_offsets_with_the_worst_beside(page: Page) -> None:
    mila = page["methods"]["mila"]

    scores = [figures["semseg/mean_iou"] for figures in mila["by_offset"]]
    errors = [figures["depth/abs_rel"] for figures in mila["by_offset"]]

    assert mila["semseg/mean_iou"] == pytest.approx(sum(scores) / 4)
    assert mila["worst"] == {"semseg/mean_iou": min(scores), "depth/abs_rel": max(errors)}
    # Depth errors of equally many pixels: pooling them is taking their mean.
    assert mila["pooled"]["depth/abs_rel"] == pytest.approx(sum(errors) / 4)


def test_interval_one_is_slow_in_accuracy_and_cost(page: Page) -> None:
    methods = page["by_interval"]["1"]["methods"]

    assert methods["mila"]["semseg/mean_iou"] == methods["slow"]["semseg/mean_iou"]
    assert methods["mila"]["gmac_per_frame"] == methods["slow"]["gmac_per_frame"] == 1.0
    assert methods["mila"]["change_from_slow"] == 0
    assert page["by_interval"]["1"]["gmac_saved"] == 0


def test_cost_is_amortised() -> None:
    assert gmac_per_frame(COSTS, 4) == pytest.approx(
        {"slow": 1.0, "fast": 0.1, "copy": 0.25, "mila": (1.1 + 3 * 0.2) / 4}
    )


def test_saving_and_milliseconds_by_hand(page: Page) -> None:
    times = {name: (f["ms_mean"], f["ms_max"]) for name, f in page["methods"].items()}

    assert page["gmac_saved"] == pytest.approx(1 - 1.7 / 4)
    assert times == {
        "slow": (21.0, 22.0),
        "fast": (4.0, 5.0),
        "copy": (21.0 / 4, 22.0),
        "mila": ((25.0 + 3 * 7.0) / 4, 26.0),
    }
    assert page["latency"]["keyframes"]["mean"] == 25.0
    assert page["latency"]["trace"][1] == {"milliseconds": 6.0, "keyframe": False, "offset": 1}


def test_class_iou_names_the_classes(page: Page) -> None:
    by_class = page["methods"]["mila"]["class_iou"]["semseg"]

    assert len(by_class) == 19
    assert sum(by_class.values()) / 19 == pytest.approx(
        page["methods"]["mila"]["pooled"]["semseg/mean_iou"]
    )


def test_delta_m_against_single_task_networks(page: Page) -> None:
    slow = page["methods"]["slow"]

    add_delta_m(page, {"semseg": slow["semseg/mean_iou"] / 2, "depth": slow["depth/abs_rel"]})

    assert page["methods"]["slow"]["delta_m"] == pytest.approx(50.0)
    assert "delta_m" in page["by_interval"]["2"]["methods"]["copy"]


def test_intervals_that_clips_do_not_allow_are_noted(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    protocol = Protocol(("semseg", "depth"), "cityscapes", 80.0, (1, 2, 9), 2)
    evaluation = evaluate(make_model(), [make_batch(1, 3)], protocol)

    page = results_page(evaluation, COSTS, LATENCY)

    assert list(page["by_interval"]) == ["1", "2"]
    assert "interval 9 needs a labelled frame with 8 frames before it" in page["notes"][0]
    headline = Protocol(("semseg", "depth"), "cityscapes", 80.0, (1, 9), 9)
    short = evaluate(make_model(), [make_batch(1, 3)], headline)
    with pytest.raises(ValueError, match="interval 9 needs"):
        results_page(short, COSTS, LATENCY)


def test_json_is_read_back_without_nan_and_twice_the_same(page: Page, tmp_path: Path) -> None:
    page["methods"]["slow"]["class_iou"]["semseg"]["train"] = math.nan

    write_page(tmp_path / "a" / "metrics.json", page)
    write_page(tmp_path / "b.json", page)

    text = (tmp_path / "a" / "metrics.json").read_text()
    assert "NaN" not in text
    assert json.loads(text)["methods"]["slow"]["class_iou"]["semseg"]["train"] is None
    assert json.loads(text)["methods"]["mila"] == page["methods"]["mila"]
    assert text == (tmp_path / "b.json").read_text()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["metrics.json"]


def test_table_has_a_row_per_method(page: Page) -> None:
    lines = table(page).splitlines()

    assert len(lines) == 2 + 4
    assert lines[0].startswith("| method | semseg/mean_iou | depth/abs_rel |")
    assert lines[-1].startswith(f"| mila | {page['methods']['mila']['semseg/mean_iou']:.4f} |")
