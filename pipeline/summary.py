"""Put a table of measured results into a Markdown file, between two marker comments.

The table's origin (command, commit, hardware, date) is written under it, from the same JSON file.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mila.config import Params
from mila.overrides import Verb
from mila.results import table

VERB = Verb(
    name="python -m pipeline.summary",
    summary="Write the table of a results file into a Markdown file, between its markers.",
    example="python -m pipeline.summary metrics=reports/metrics.json into=README.md name=street",
    arguments={
        "metrics": "required: JSON file that flows/evaluate.py wrote",
        "into": "required: Markdown file with <!-- NAME --> and <!-- /NAME --> lines",
        "name": "required: NAME of the markers",
    },
    sections=("evaluation",),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Replace what stands between the markers."""

    def body(_: Params, words: dict[str, str]) -> None:
        page = json.loads(Path(words["metrics"]).read_text())
        target = Path(words["into"])
        text = replaced(target.read_text(), words["name"], summary(page), where=str(target))
        target.write_text(text)

    return VERB.run(argv, body)


def summary(page: dict[str, Any]) -> str:
    """The headline table and where it is from, Markdown."""
    hardware = ", ".join(f"{key} {value}" for key, value in page["hardware"].items())
    origin = f"K = {page['keyframe_interval']}; {100 * page['gmac_saved']:.1f} % of the slow "
    origin += f"network's multiply-adds saved. `{page['command']}`, commit {page['commit'][:10]}, "
    origin += f"{page['date'][:10]}, {hardware}."
    return f"{table(page)}\n\n{origin}"


def replaced(text: str, name: str, content: str, *, where: str) -> str:
    """The text with new content between `<!-- name -->` and `<!-- /name -->`.

    Raises:
        ValueError: If the markers are not there exactly once, in order.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"{where}: expected one pair of lines {begin} and {end}")
    return pattern.sub(lambda _: f"{begin}\n{content}\n{end}", text)


if __name__ == "__main__":
    sys.exit(main())
