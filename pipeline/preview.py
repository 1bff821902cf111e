"""Verb: draw some clips of a data set on one page, to look at before training on it."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mila.config import Params
from mila.data.manifest import ClipRow, Manifest, read_manifest
from mila.data.sample import SPLITS, decode_clip
from mila.data.shards import ClipReader
from mila.data.storage import open_storage
from mila.overrides import Verb
from pipeline.outputs import write_text
from pipeline.previewing import page
from pipeline.words import whole_number

VERB = Verb(
    name="python -m pipeline.preview",
    summary="Draw clips with labels, depth, what is known, and motion, on one HTML page.",
    example="python -m pipeline.preview data=data/street out=preview.html",
    arguments={
        "data": "required: folder or s3:// prefix with manifest and shards",
        "out": "required: HTML file to write",
        "clips": "clips of every split (3)",
        "frames": "frames of every clip (5)",
    },
    sections=(),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 = done, 2 = bad input."""
    return VERB.run(argv, _run)


def _run(_: Params, words: dict[str, str]) -> None:
    storage = open_storage(words["data"])
    manifest, reader = read_manifest(storage), ClipReader(storage)
    rows = _spread(manifest, whole_number(words, "clips", 3, least=1))
    clips = [(row, decode_clip(reader.read(row), key=row.key)) for row in rows]
    frames = whole_number(words, "frames", 5, least=1)
    write_text(Path(words["out"]), page(words["data"], manifest.clips, clips, frames=frames))
    sys.stdout.write(f"{words['out']}: {len(clips)} of {len(manifest.clips)} clips\n")


def _spread(manifest: Manifest, wanted: int) -> list[ClipRow]:
    """Clips of every split, evenly spread over its keys."""
    rows = []
    for split in SPLITS:
        own = manifest.split(split)
        places = np.linspace(0, len(own) - 1, min(wanted, len(own))).round().astype(int)
        rows += [own[place] for place in sorted(set(places.tolist()))]
    if not rows:
        raise ValueError("the manifest lists no clips")
    return rows


if __name__ == "__main__":
    sys.exit(main())
