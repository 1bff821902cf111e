"""Pages and grids that a page of results cannot be made of."""

import json
from pathlib import Path

import pytest

from pipeline.claims.document import document
from pipeline.claims.seeds import read_rows
from pipeline.results import main
from tests.pipeline.claims.made_pages import page


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
