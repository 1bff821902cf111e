"""What the page says of how its figures came about, and of what it lacks."""

import json
import re
from pathlib import Path

from pipeline.results import main
from tests.pipeline.claims.made_pages import GRID, keep, page, written


def test_a_grid_without_the_usual_intervals_has_a_page(folder: Path) -> None:
    for path in folder.glob("*.json"):
        kept = json.loads(path.read_text())
        kept["keyframe_interval"] = 2
        kept["scored"]["frames"]["2"] = 12
        kept["by_interval"] = {k: kept["by_interval"][k] for k in ("1", "2")}
        path.write_text(json.dumps(kept))

    assert "### By the age" not in written(folder)


def test_the_page_says_that_the_longer_row_was_trained_otherwise(folder: Path) -> None:
    keep(folder, page("claim", 0, group="claim"))
    assert "Muon" not in written(folder)

    joint = {"updates": 4000, "optimizer": "muon"}
    keep(folder, page("claim", 0, group="claim", settings={"train": {"joint": joint}}))

    assert "updates, with Muon instead of AdamW (" in " ".join(written(folder).split())


def test_the_page_says_that_the_longer_row_starts_from_other_networks(folder: Path) -> None:
    start = {"run": "train-one", "commit": "a" * 40}
    keep(folder, page("ila", 0, start=start))
    keep(folder, page("claim", 0, group="claim", start=start))
    text = " ".join(written(folder).split())
    assert "tables trains 600 updates (" in text
    assert "All rows and all seeds share" in text

    keep(folder, page("claim", 0, group="claim", start={"run": "train-two", "commit": "b" * 40}))

    told = "tables starts from the networks of training `train-two` (commit bbbbbbbbbb), and trains"
    text = " ".join(written(folder).split())
    assert told in text
    assert "All rows and all seeds, those of the first two tables left out, share" in text


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
