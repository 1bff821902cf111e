"""Tables in Markdown files come from results files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.summary import main


def page() -> dict[str, Any]:
    figures = {"semseg/mean_iou": 0.71234, "gmac_per_frame": 0.5, "ms_mean": 10.0, "ms_max": 12.0}
    return {
        "keyframe_interval": 5,
        "methods": {"slow": figures, "mila": {**figures, "semseg/mean_iou": 0.7}},
        "gmac_saved": 0.701,
        "command": "flows/evaluate.py",
        "commit": "0123456789abcdef",
        "date": "2026-11-23T10:00:00",
        "hardware": {"cpu": "two cores"},
    }


def test_the_table_replaces_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps(page()))
    readme = tmp_path / "README.md"
    readme.write_text("# A\n<!-- street -->\nold\n<!-- /street -->\nafter\n")
    words = [f"metrics={tmp_path / 'm.json'}", f"into={readme}", "name=street"]

    assert main(words) == 0
    once = readme.read_text()
    assert main(words) == 0

    assert readme.read_text() == once
    assert "old" not in once
    assert "| mila | 0.7000 | 0.500 | 10.0 | 12.0 |" in once
    assert "70.1 %" in once
    assert "commit 0123456789, 2026-11-23, cpu two cores" in once
    assert once.endswith("after\n")


def test_missing_markers_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.json").write_text(json.dumps(page()))
    (tmp_path / "README.md").write_text("# A\n")

    code = main([f"metrics={tmp_path / 'm.json'}", f"into={tmp_path / 'README.md'}", "name=street"])

    assert code == 2
    assert "<!-- street -->" in capsys.readouterr().err
