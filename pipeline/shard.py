"""Verb: raw clips and their catalog become shards with a manifest; the same bytes every time."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from mila.config import Params
from mila.data.manifest import Manifest
from mila.data.sample import SPLITS, decode_clip
from mila.data.shards import PackedClip, pack_clip, read_clip_tar, write_shards
from mila.data.tar_layout import clip_members
from mila.overrides import Verb
from pipeline.catalog import CATALOG_NAME, CatalogRow, read_catalog
from pipeline.outputs import new_folder, write_text
from pipeline.parallel import over_all_cores
from pipeline.statistics import Statistics, measure
from pipeline.words import number, whole_number

STATISTICS_NAME = "stats.json"

VERB = Verb(
    name="python -m pipeline.shard",
    summary="Make shards, a manifest and statistics from raw clips.",
    example="python -m pipeline.shard raw=data/raw/street out=data/street",
    arguments={
        "raw": "required: folder with catalog.parquet and clips/",
        "out": "required: folder to make; what is there is replaced",
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
    size = round(number(words, "shard_mib", 64, least=0.001) * (1 << 20))
    workers = whole_number(words, "workers", 0, least=0)
    manifest = build(Path(words["raw"]), out, shard_bytes=size, workers=workers)
    sys.stdout.write(
        f"{out}: {len(manifest.clips)} clips in {len(manifest.shards)} shards, "
        f"fingerprint {manifest.fingerprint[:16]}\n"
    )


def build(raw: Path, out: Path, *, shard_bytes: int, workers: int = 0) -> Manifest:
    """Write shards, manifest and statistics of a folder of raw clips.

    Raises:
        ValueError: If the catalog is empty or a clip is missing, altered or not as the catalog
            says.
    """
    rows = read_catalog(raw / CATALOG_NAME)
    if not rows:
        raise ValueError(f"{raw / CATALOG_NAME}: no clips in it")
    sums = {split: Statistics() for split in SPLITS}
    results = over_all_cores(partial(_pack, raw), rows, workers=workers, what="clip")
    with new_folder(out) as folder:
        manifest = write_shards(folder, _counted(results, sums), shard_bytes=shard_bytes)
        summary = {split: total.summary() for split, total in sums.items() if total.clips}
        write_text(folder / STATISTICS_NAME, json.dumps(summary, indent=1) + "\n")
    return manifest


def _pack(raw: Path, row: CatalogRow) -> tuple[PackedClip, Statistics]:
    """Read one raw clip, compare it with its row of the catalog and look at its pixels."""
    path = raw / row.path
    packed = pack_clip(read_clip_tar(path, row.sha256))
    told = (row.clip, row.video, row.split, row.start, row.frames)
    held = packed.row
    if told != (held.key, held.video, held.split, held.start, held.frames):
        raise ValueError(f"{path}: its meta.json does not say what the catalog says")
    clip = decode_clip(clip_members(packed.data, held.key), key=held.key)
    return packed, measure(clip)


def _counted(
    results: Iterable[tuple[PackedClip, Statistics]], sums: dict[str, Statistics]
) -> Iterator[PackedClip]:
    """Pass the clips on and add their statistics to those of their split."""
    for packed, statistics in results:
        sums[packed.row.split].add(statistics)
        yield packed


if __name__ == "__main__":
    sys.exit(main())
