"""Verb: a real data set in its own layout becomes shards; it can be stopped and repeated."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mila.config import Params
from mila.overrides import Verb
from pipeline.assembly import STATISTICS_NAME
from pipeline.datasets.table import DATA_SETS
from pipeline.ingestion import Request, ingest, parse_size
from pipeline.words import number, whole_number

_OWN_WORDS = {word: text for row in DATA_SETS.values() for word, text in row.words.items()}

VERB = Verb(
    name="python -m pipeline.ingest",
    summary="Make shards of a real data set:\n\n"
    + "\n".join(f"  {name}: {row.layout}" for name, row in DATA_SETS.items()),
    example="python -m pipeline.ingest dataset=camvid root=data/raw/camvid out=data/camvid",
    arguments={
        "dataset": f"required: one of {', '.join(DATA_SETS)}",
        "root": "required: folder with the data set as downloaded",
        "out": "required: folder to make",
        "size": "rows x columns of the frames, e.g. 256x512 (as they are)",
        "shard_mib": "a shard is closed once it is this large, MiB (64)",
        "workers": "processes (0 = one per core)",
        **{
            word: "; ".join(
                f"{name}: {row.words[word]}" for name, row in DATA_SETS.items() if word in row.words
            )
            for word in _OWN_WORDS
        },
    },
    sections=(),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 = done, 2 = bad input."""
    return VERB.run(argv, _run)


def _run(_: Params, words: dict[str, str]) -> None:
    request = Request(
        dataset=words["dataset"],
        root=Path(words["root"]),
        out=Path(words["out"]),
        size=parse_size(words.get("size")),
        shard_bytes=round(number(words, "shard_mib", 64, least=0.001) * (1 << 20)),
        words={word: words[word] for word in _OWN_WORDS if word in words},
    )
    workers = whole_number(words, "workers", 0, least=0)
    try:
        made = ingest(request, workers=workers)
    except OSError as error:  # a full disk, no permission
        raise ValueError(f"{error.filename or request.out}: {error.strerror or error}") from None
    if not made:
        sys.stdout.write(f"{request.out}: made from the same files before, nothing to do\n")
    _print_summary(request.out)


def _print_summary(out: Path) -> None:
    """A table: what every split holds."""
    row = "{:<6}{:>7}{:>8}{:>9}{:>16}{:>15}\n"
    sys.stdout.write(
        row.format("split", "clips", "frames", "classes", "semseg ignored", "depth unknown")
    )
    for split, held in json.loads((out / STATISTICS_NAME).read_text()).items():
        shares = (held["semseg_ignored_share"], held["depth_invalid_share"])
        shown = ["-" if share is None else f"{share:.1%}" for share in shares]
        seen = held["classes_seen"] or "-"
        sys.stdout.write(row.format(split, held["clips"], held["frames"], seen, *shown))


if __name__ == "__main__":
    sys.exit(main())
