"""Verb: raw clips and their catalog become shards with a manifest; the same bytes every time."""

import sys
from collections.abc import Sequence
from pathlib import Path

from mila.config import Params
from mila.data.manifest import CLIPS_NAME
from mila.overrides import Verb
from pipeline.assembly import assemble, catalogued_clips
from pipeline.outputs import new_folder, refuse_other
from pipeline.words import number, whole_number

VERB = Verb(
    name="python -m pipeline.shard",
    summary="Make shards, a manifest and statistics from raw clips.",
    example="python -m pipeline.shard raw=data/raw/street out=data/street",
    arguments={
        "raw": "required: folder with catalog.parquet and clips/",
        "out": "required: folder to make; an earlier result there is replaced",
        "shard_mib": "a shard is closed once it is this large, MiB (64)",
        "workers": "processes (0 = one per core)",
    },
    sections=(),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 = done, 2 = bad input."""
    return VERB.run(argv, _run)


def _run(_: Params, words: dict[str, str]) -> None:
    out = Path(words["out"])
    refuse_other(out, CLIPS_NAME)
    shard_bytes = round(number(words, "shard_mib", 64, least=0.001) * (1 << 20))
    workers = whole_number(words, "workers", 0, least=0)
    clips = catalogued_clips(Path(words["raw"]))
    with new_folder(out) as folder:
        manifest = assemble(folder, clips, shard_bytes=shard_bytes, workers=workers)
    sys.stdout.write(
        f"{out}: {len(manifest.clips)} clips in {len(manifest.shards)} shards, "
        f"fingerprint {manifest.fingerprint[:16]}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
