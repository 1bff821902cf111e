"""How much accuracy is kept: what is held against the bounds, and against which slow network."""

import json
from pathlib import Path

from tests.pipeline.claims.made_pages import keep, page, written


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
