"""Tables over seeds and what they conclude, on made-up pages with known differences."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.claims.document import document
from pipeline.claims.equal_cost import equal_cost_section
from pipeline.claims.schedules import interpolated
from pipeline.claims.seeds import Spread, away, read_rows
from pipeline.results import main

GRID = """
rows:
  ila: {group: propagation, title: ILA}
  warp: {group: propagation, title: flow warp}
  align_none: {group: alignment, title: neither}
  ts: {group: options, title: TS}
"""


def figures(iou: float, error: float, gmac: float) -> dict[str, Any]:
    return {"semseg/mean_iou": iou, "depth/abs_rel": error, "gmac_per_frame": gmac}


def page(row: str, seed: int, *, gain: float = 0.0, **changes: Any) -> dict[str, Any]:
    """Of a method whose mean IoU falls by 0.01 a frame, `gain` above ILA's."""
    iou, error = 0.70 + gain + 0.001 * seed, 0.16 - gain
    by_age = [{"semseg": 0.72, "depth": 0.15}]
    by_age += [{"semseg": iou - 0.01 * age, "depth": error + 0.005 * age} for age in range(1, 10)]

    def methods(interval: int) -> dict[str, Any]:
        ages = by_age[:interval]
        mean = {task: sum(a[task] for a in ages) / interval for task in ("semseg", "depth")}
        mila = figures(mean["semseg"], mean["depth"], 0.2)
        mila["worst"] = {"semseg/mean_iou": ages[-1]["semseg"], "depth/abs_rel": ages[-1]["depth"]}
        return {
            "slow": figures(0.72, 0.15, 0.7),
            "fast": figures(0.64, 0.18, 0.05),
            "copy": figures(0.60, 0.20, 0.14),
            "mila": mila,
        }

    whole = {
        "row": row,
        "seed": seed,
        "group": "propagation",
        "title": {"ila": "ILA", "warp": "flow warp"}.get(row, row),
        "about": "as it is",
        "method": "mila",
        "settings": {},
        "by_interval": {str(k): {"gmac_saved": 0.71, "methods": methods(k)} for k in (1, 2, 5, 10)},
        "offsets": {"mila": by_age, "copy": by_age},
        "consistency": {
            name: {"semseg/consistency": 0.8, "depth/log_change": 0.01}
            for name in ("truth", "slow", "mila", "mila_refresh")
        },
        "cost": {"propagation_gmac": 0.002 if row == "ila" else 0.04},
        "keyframe_interval": 5,
        "scored": {"clips": 4, "frames": {"5": 12}},
        "size": {"height": 96, "width": 192},
        "data": {"root": "data/street", "split": "test", "fingerprint": "f" * 64},
        "updates_and_batch": {"slow": [0, 8], "fast": [0, 16], "joint": [600, 16]},
        "hardware": {"cpu": "some processor", "cores": 2},
        "command": f"python flows/grid.py rows={row} seeds={seed}",
        "commit": "c" * 40,
        "date": "2026-11-23T12:00:00+00:00",
    }
    return {**whole, **changes}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "docs" / "street"
    target.mkdir(parents=True)
    for seed in (0, 1, 2):
        keep(target, page("ila", seed))
        keep(target, page("warp", seed, gain=-0.02))
    keep(target, page("ts", 0, gain=0.01, group="options"))
    (tmp_path / "street.yaml").write_text(GRID)
    return target


def keep(folder: Path, kept: dict[str, Any]) -> None:
    (folder / f"{kept['row']}-s{kept['seed']}.json").write_text(json.dumps(kept))


def written(folder: Path) -> str:
    out = folder.parent / "results.md"
    grid = folder.parents[1] / "street.yaml"
    assert main([f"pages={folder}", f"out={out}", f"grid={grid}"]) == 0
    return out.read_text()


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


def test_a_grid_without_the_usual_intervals_has_a_page(folder: Path) -> None:
    for path in folder.glob("*.json"):
        kept = json.loads(path.read_text())
        kept["keyframe_interval"] = 2
        kept["scored"]["frames"]["2"] = 12
        kept["by_interval"] = {k: kept["by_interval"][k] for k in ("1", "2")}
        path.write_text(json.dumps(kept))

    assert "### By the age" not in written(folder)


def test_bounds_hold_against_the_better_slow_network(folder: Path) -> None:
    better = page("slow_total", 0, group="bounds", method="slow")
    for part in better["by_interval"].values():
        part["methods"]["slow"]["semseg/mean_iou"] = 0.80
    for path in folder.glob("ila-*.json"):
        kept = json.loads(path.read_text())
        for k, part in kept["by_interval"].items():
            part["gmac_saved"] = 0.81 if k == "10" else 0.71
            part["methods"]["mila"]["semseg/mean_iou"] = 0.715
        path.write_text(json.dumps(kept))
    assert "| mean IoU | 0.50 points | 1 points | yes |" in written(folder)

    keep(folder, better)

    text = written(folder)
    assert "| mean IoU | 0.50 points | 8.50 points | 1 points | **no** |" in text
    assert "| mean IoU at 81.0 % fewer, K = 10 | 0.50 points | 8.50 points | 2 points |" in text
    assert "| multiply-adds saved | 71.0 % | 71.0 % | 70 % | yes |" in text
    assert "| slow_total | 80.00 |" in text


def test_a_row_trained_longer_is_held_against_the_bounds(folder: Path) -> None:
    before = written(folder)
    longer = {"slow": [0, 8], "fast": [0, 16], "joint": [2400, 16]}
    keep(folder, page("claim", 0, gain=0.02, group="claim", updates_and_batch=longer))

    text = written(folder)
    assert "| worst age of the keyframe | 4.00 points | 2.5 points | **no** |" in text
    assert "MILA in the first two tables trains 2400 updates" in " ".join(text.split())
    peers = "## Ways to bring"
    assert (
        text[text.index(peers) : text.index("## Steadiness")]
        == (before[before.index(peers) : before.index("## Steadiness")])
    )


def test_the_page_says_that_the_longer_row_was_trained_otherwise(folder: Path) -> None:
    keep(folder, page("claim", 0, group="claim"))
    assert "Muon" not in written(folder)

    joint = {"updates": 4000, "optimizer": "muon"}
    keep(folder, page("claim", 0, group="claim", settings={"train": {"joint": joint}}))

    assert "updates, with Muon instead of AdamW (" in " ".join(written(folder).split())


def test_the_page_says_how_many_frames_of_a_clip_are_supervised(folder: Path) -> None:
    assert "600 updates of 16 clips with the slow" in " ".join(written(folder).split())

    keep(folder, page("ila", 0, supervised=3))

    told = "600 updates of 16 clips, 3 supervised frames in each, with the slow"
    assert told in " ".join(written(folder).split())


def test_the_page_says_what_is_missing(folder: Path) -> None:
    text = written(folder)

    assert "| align_none | neither | 0, 1, 2 |" in text
    assert "| ts | TS | 1, 2 |" in text
    assert "| warp |" not in text.split("## Missing")[1].split("## Where")[0]


def test_every_figure_has_its_origin(folder: Path) -> None:
    origin = written(folder).split("## Where each row is from")[1]

    assert origin.count("python flows/grid.py rows=") == 7
    assert "- machine 1: cpu some processor, cores 2" in origin
    assert "| cccccccccc | 2026-11-23 | 1 |" in origin


def test_equal_pages_give_equal_bytes(folder: Path) -> None:
    first = written(folder), (folder.parent / "street-offsets.svg").read_bytes()
    second = written(folder), (folder.parent / "street-offsets.svg").read_bytes()

    assert first == second
    assert b"flow warp" in first[1]


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


def test_pages_of_data_without_depth_do_not_speak_of_it(folder: Path, tmp_path: Path) -> None:
    for path in folder.glob("*.json"):
        bare = re.sub(r'"depth(/abs_rel)?": [0-9.]+,? ?', "", path.read_text())
        bare = json.loads(bare.replace(", }", "}"))
        bare["consistency"] = {"truth": {}}
        path.write_text(json.dumps(bare))
    grid, out = tmp_path / "grid.yaml", tmp_path / "docs" / "results.md"
    grid.write_text(GRID)

    assert main([f"pages={folder}", f"grid={grid}", f"out={out}"]) == 0

    text = out.read_text()
    assert "AbsRel" not in text
    assert "## Steadiness" not in text
    assert "| mean IoU | " in text
    assert "| depth error |" not in text
    assert "nan" not in text


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


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.json", "{", "x.json: not JSON"),
        ("x.json", "{}", "x.json: expected a page of flows/grid.py, 'row' is missing"),
        (
            "x-s0.json",
            json.dumps(page("x", 0, data={"fingerprint": "other", "split": "test"})),
            "x-s0.json: scored on other data",
        ),
    ],
)
def test_pages_that_do_not_belong_are_refused(
    folder: Path, name: str, content: str, sentence: str
) -> None:
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=sentence):
        read_rows(folder)


def test_nothing_to_show_is_one_sentence(tmp_path: Path, capsys) -> None:
    assert main([f"pages={tmp_path}"]) == 2
    assert "no grid file there" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no pages of results there"):
        read_rows(tmp_path)
    with pytest.raises(ValueError, match="no page of row ila"):
        document({}, wanted={}, seeds=[0], figure="f", source="s")


@pytest.mark.parametrize(
    ("text", "said"), [("rows: a: b: c", "not YAML"), ("[1, 2]", "expected a grid file")]
)
def test_a_file_that_is_no_grid_is_named(
    folder: Path, tmp_path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = tmp_path / "broken.yaml"
    grid.write_text(text)

    assert main([f"pages={folder}", f"grid={grid}", f"out={tmp_path / 'out.md'}"]) == 2

    assert f"{grid}: {said}" in capsys.readouterr().err
