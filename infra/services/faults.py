"""Write what the services tests measured into docs: the file itself and the table of it.

    python infra/services/faults.py reports/faults.json

Standard library only. The table stands between two marks of docs/faults.md and is never edited by
hand; a test compares it with docs/faults.json.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"
BEGIN, END = "<!-- measured -->\n", "<!-- end of measured -->\n"


def main(words: list[str]) -> int:
    """Copy the results to docs and write the table."""
    (source,) = words
    shutil.copyfile(source, DOCS / "faults.json")
    page = DOCS / "faults.md"
    page.write_text(with_table(page.read_text(), json.loads(Path(source).read_text())))
    return 0


def with_table(page: str, results: dict[str, Any]) -> str:
    """The page with these results between its marks."""
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{table(results)}\n{END}{after}"


def table(results: dict[str, Any]) -> str:
    """A Markdown table: what was broken, what was found, how long it took."""
    lines = [
        f"Measured {results['date']} at commit {results['commit']} on {results['machine']}, by "
        "`make services-test`.",
        "",
        "| fault | what was broken | what was found after | seconds |",
        "|---|---|---|---|",
    ]
    for fault, row in results["faults"].items():
        seconds = "; ".join(f"{name}: {value}" for name, value in row["seconds"].items())
        lines.append(f"| {fault} | {row['broken']} | {row['found']} | {seconds} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
