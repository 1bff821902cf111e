"""Verb: kept pages of a grid become the page of results and its figure; nothing is measured."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from mila.config import Params
from mila.overrides import ROOT, Verb
from pipeline.claims.document import document
from pipeline.claims.figure import offset_figure
from pipeline.claims.seeds import Row, read_rows
from pipeline.claims.tables import FIRST
from pipeline.outputs import write_text

_MOST_LINES = 7

VERB = Verb(
    name="python -m pipeline.results",
    summary="Write a page of results and its figure from the kept pages of a grid.",
    example="python -m pipeline.results pages=docs/results/street out=docs/results.md",
    arguments={
        "pages": "folder of pages that flows/grid.py kept (docs/results/street)",
        "grid": "grid file: the rows that are wanted (params/grid/NAME.yaml, NAME of the folder)",
        "seeds": "seeds that are wanted, comma between them (0,1,2)",
        "out": "page to write; the figure lies beside the folder of pages (docs/results.md)",
    },
    sections=(),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 = done, 2 = bad input."""
    return VERB.run(argv, _run)


def _run(_: Params, words: dict[str, str]) -> None:
    folder = Path(words.get("pages", "docs/results/street"))
    out = Path(words.get("out", "docs/results.md"))
    grid = Path(words.get("grid", str(ROOT / "params" / "grid" / f"{folder.name}.yaml")))
    if not grid.is_file():
        raise ValueError(f"{grid}: no grid file there")
    rows = read_rows(folder)
    page = _read(grid)
    wanted = {name: row["title"] for name, row in page["rows"].items()}
    seeds = [int(seed) for seed in words.get("seeds", "0,1,2").split(",")]
    drawn = folder.parent / f"{folder.name}-offsets.svg"
    text = document(
        rows,
        wanted=wanted,
        seeds=seeds,
        figure=_relative(drawn, out.parent),
        source=_relative(folder, Path.cwd()),
        title=str(page.get("title", "Results")),
        about=str(page.get("about", "")),
    )
    write_text(drawn, offset_figure(_lines(rows, list(wanted)), rows.get("fast")))
    write_text(out, text)
    print(f"{out}: {len(rows)} rows, {sum(len(row.pages) for row in rows.values())} pages")


def _read(grid: Path) -> dict[str, Any]:
    try:
        page = yaml.safe_load(grid.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{grid}: not YAML: {error}") from None
    if not isinstance(page, dict) or "rows" not in page:
        raise ValueError(f"{grid}: expected a grid file with `rows`")
    return page


def _lines(rows: dict[str, Row], order: Sequence[str]) -> list[Row]:
    """What the figure shows: ILA and the other propagations, in the order of the grid."""
    others = [
        rows[name]
        for name in order
        if name in rows and name != FIRST and rows[name].first["group"] == "propagation"
    ]
    return [rows[FIRST], *others][:_MOST_LINES]


def _relative(path: Path, folder: Path) -> str:
    """A path as it is written in a page of that folder."""
    path, folder = path.resolve(), folder.resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


if __name__ == "__main__":
    sys.exit(main())
