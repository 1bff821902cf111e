"""Tables over seeds and what they conclude, on made-up pages with known differences."""

import re
from pathlib import Path

import pytest

from pipeline.claims.equal_cost import equal_cost_section
from pipeline.claims.schedules import interpolated
from pipeline.claims.seeds import Spread, away, read_rows
from tests.pipeline.claims.made_pages import figures, keep, page, written


def test_a_spread_is_mean_and_sample_deviation() -> None:
    assert Spread((1.0, 2.0, 3.0)).text(digits=2) == "2.00 ± 1.00"
    assert Spread((0.5,)).text(scale=100, sign=True) == "+50.0"
    assert Spread((0.5,)).deviation is None
    assert Spread((0.5, 0.5)).text(digits=2) == "0.50"


def test_accuracy_away_from_keyframes_leaves_them_out() -> None:
    kept = page("ila", 0)
    assert away(kept, "mila", 5, "semseg") == pytest.approx(0.70 - 0.025)


def test_the_page_draws_the_right_conclusions(folder: Path) -> None:
    text = written(folder)

    assert "| worst age of the keyframe | 5.90 ± 0.10 points | 2.5 points | **no** |" in text
    assert "| multiply-adds saved | 71.0 % | 70 % | yes |" in text
    gain = r"\+2\.00( ± 0\.00)?"
    assert re.search(rf"\| flow warp \(3\) \| {gain} \| {gain} \| yes / yes \|", text)
    assert "| flow warp | 65.60 ± 0.10" in text
    assert "| 0.0400 | 5 | 3 |" in text
    assert "| ts | as it is | 69.20 |" in text
    assert "Adaptive" not in text


def test_the_page_shows_how_accuracy_falls_with_age(folder: Path) -> None:
    lines = written(folder).split("### By the age of the keyframe")[1].splitlines()
    head, ila = lines[2], next(line for line in lines if line.startswith("| ILA"))

    assert "| mIoU, %, age 1 | mIoU, %, age 9 | mIoU, points per frame |" in head
    assert ila.startswith("| ILA | 69.10 ± 0.10 | 61.10 ± 0.10 | -1.00")
    assert "| 16.50 | 20.50 | +0.50 |" in ila


def test_adaptive_schedules_are_compared_at_equal_cost(folder: Path) -> None:
    rows = [
        {"schedule": "fixed", "interval": k, "mean_interval": k, **figures(iou, 0.16, cost)}
        for k, iou, cost in ((2, 0.71, 0.4), (10, 0.67, 0.2))
    ]
    own = {"schedule": "adaptive", "threshold": 0.5, "mean_interval": 4}
    rows.append({**own, **figures(0.70, 0.15, 0.3)})
    keep(folder, page("ila", 0, schedules=rows))

    assert interpolated(rows[:2], rows[2], "semseg/mean_iou") == pytest.approx(0.69)
    assert interpolated(rows[:2], {"gmac_per_frame": 0.5}, "semseg/mean_iou") is None
    line = "| adaptive, entropy above 0.500 | 4.00 | 0.3000 | 70.00 | 15.00 | +1.00 | -1.00 |"
    assert line in written(folder)


def test_a_dearer_module_is_compared_at_its_own_cost(tmp_path: Path) -> None:
    for row, share in (("ila", 1.0), ("warp", 1.4)):
        made = page(row, 0)
        for k, part in made["by_interval"].items():
            # A line from the slow network on: 0.72 at 0.7 GMAC, 0.1 lower for each 0.5 GMAC less.
            part["methods"]["mila"]["gmac_per_frame"] = gmac = share * (0.1 + 0.5 / int(k))
            part["methods"]["mila"]["semseg/mean_iou"] = 0.72 - 0.2 * (0.7 - gmac / share)
        keep(tmp_path, made)
    rows = read_rows(tmp_path)

    text = equal_cost_section(rows["ila"], [rows["warp"]], 5)

    # warp: 0.28 GMAC, 0.72 - 0.2 * 0.5 = 0.62; ILA at 0.28: 0.72 - 0.2 * 0.42 = 0.636.
    line = next(line for line in text.splitlines() if line.startswith("| flow warp"))
    assert "| 0.2800 | 60.0 | 62.00 |" in line
    assert "| +1.60 |" in line


def test_single_tasks_give_delta_m(folder: Path) -> None:
    changes = {"group": "single", "method": "slow"}
    keep(folder, page("semseg_alone", 0, **changes))
    keep(folder, page("depth_alone", 0, **changes))

    text = written(folder)

    assert "| slow | +0.00 | 1 |" in text
    assert "| slow, depth alone | 15.00 % (its abs_rel) | 1 |" in text
