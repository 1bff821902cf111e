"""Verb: what training, sweep and evaluation wrote becomes one page to look at."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mila.config import Params
from mila.overrides import Verb
from mila.panels import INDEX_NAME
from pipeline.outputs import write_text
from pipeline.page.document import Inputs, document

VERB = Verb(
    name="python -m pipeline.report",
    summary="Make one self-contained page of the results: numbers, charts, pictures.",
    example="python -m pipeline.report metrics=reports/metrics.json out=reports/index.html",
    arguments={
        "metrics": "results of flows/evaluate.py (reports/metrics.json)",
        "out": "page to write (reports/index.html)",
        "pictures": "folder of pictures (evaluation/ beside the results, if there)",
        "train": "results of flows/train.py (train.json beside the results, if there)",
        "sweep": "results of flows/tune.py (sweep.json beside the results, if there)",
    },
    sections=(),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 = done, 2 = bad input."""
    return VERB.run(argv, _run)


def _run(_: Params, words: dict[str, str]) -> None:
    metrics = Path(words.get("metrics", "reports/metrics.json"))
    out = Path(words.get("out", "reports/index.html"))
    pictures = _beside(metrics, words.get("pictures"), "evaluation")
    train = _beside(metrics, words.get("train"), "train.json")
    sweep = _beside(metrics, words.get("sweep"), "sweep.json")
    if pictures is not None and not (pictures / INDEX_NAME).is_file():
        raise ValueError(f"{pictures}: no pictures here ({INDEX_NAME} is missing)")
    inputs = Inputs(
        results=_read(metrics, "methods"),
        pictures=pictures,
        training=None if train is None else _read(train, "curves"),
        sweep=None if sweep is None else _rows(sweep),
    )
    write_text(out, document(inputs))
    print(f"{out}: {out.stat().st_size / 1024:.0f} KiB")


def _beside(metrics: Path, given: str | None, name: str) -> Path | None:
    """The path that was given, else the usual one if something is there."""
    if given is not None:
        return Path(given)
    usual = metrics.with_name(name)
    return usual if usual.exists() else None


def _read(path: Path, key: str) -> dict[str, Any]:
    """A page of results that has a key.

    Raises:
        ValueError: If it is missing, no JSON or something else.
    """
    page = _json(path)
    if not isinstance(page, dict) or key not in page:
        raise ValueError(f"{path}: expected results with {key!r}")
    return page


def _rows(path: Path) -> list[dict[str, Any]]:
    """The trials of a sweep: a list of rows, or a page that has them as `rows` or `trials`.

    Raises:
        ValueError: If it is missing, no JSON or something else.
    """
    page = _json(path)
    rows = page.get("rows", page.get("trials")) if isinstance(page, dict) else page
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path}: expected one row per trial")
    return rows


def _json(path: Path) -> Any:
    if not path.is_file():
        raise ValueError(f"{path}: no such file; run the stage that writes it first")
    try:
        return json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not JSON ({error})") from None


if __name__ == "__main__":
    sys.exit(main())
