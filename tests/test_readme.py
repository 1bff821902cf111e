"""The README's tables are what was measured: they come from the files beside docs/results.md."""

import json
from pathlib import Path

import pytest

from pipeline.summary import replaced, summary

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", ["street", "camvid"])
def test_a_table_is_what_its_file_says(name: str) -> None:
    text = (ROOT / "README.md").read_text()
    page = json.loads((ROOT / "docs" / "results" / f"{name}-demo.json").read_text())
    assert replaced(text, name, summary(page), where="README.md") == text


def test_first_commands_are_those_of_the_makefile() -> None:
    text = (ROOT / "README.md").read_text()
    targets = (ROOT / "Makefile").read_text()
    for target in ("demo", "test"):
        assert f"make {target}" in text
        assert f"\n{target}:" in targets
