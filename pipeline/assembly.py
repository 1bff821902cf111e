"""From tars of single clips to a data set: shards, manifest and statistics."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mila.data.manifest import Manifest
from mila.data.sample import SPLITS, decode_clip
from mila.data.shards import PackedClip, pack_clip, read_clip_tar, write_shards
from mila.data.tar_layout import clip_members
from pipeline.catalog import CATALOG_NAME, CatalogRow, read_catalog
from pipeline.outputs import write_text
from pipeline.parallel import over_all_cores
from pipeline.statistics import Statistics, measure

STATISTICS_NAME = "stats.json"


@dataclass(frozen=True)
class RawClip:
    """A clip to put into the data set."""

    path: Path
    """Its tar."""
    told: CatalogRow | None = None
    """What a catalog says about it; None where there is no catalog."""


def catalogued_clips(raw: Path) -> list[RawClip]:
    """The clips of a folder with a catalog, in the order of their keys.

    Raises:
        ValueError: If there is no catalog, or no clip in it.
    """
    rows = read_catalog(raw / CATALOG_NAME)
    if not rows:
        raise ValueError(f"{raw / CATALOG_NAME}: no clips in it")
    return [RawClip(raw / row.path, row) for row in sorted(rows, key=lambda row: row.clip)]


def assemble(
    folder: Path, clips: Sequence[RawClip], *, shard_bytes: int, workers: int = 0
) -> Manifest:
    """Write shards, manifest and statistics; equal clips give equal bytes.

    Args:
        folder: Where they are written.
        clips: The clips, in the order of their keys.
        shard_bytes: A shard is closed once it is at least as large.
        workers: Processes; 0 = one per core.

    Raises:
        ValueError: If a clip is missing, altered, or not as the catalog says.
    """
    sums = {split: Statistics() for split in SPLITS}
    results = over_all_cores(_pack, clips, workers=workers, what="clip")
    manifest = write_shards(folder, _counted(results, sums), shard_bytes=shard_bytes)
    summary = {split: total.summary() for split, total in sums.items() if total.clips}
    write_text(folder / STATISTICS_NAME, json.dumps(summary, indent=1) + "\n")
    return manifest


def _pack(clip: RawClip) -> tuple[PackedClip, Statistics]:
    """Read one clip, compare it with what the catalog tells and look at its pixels."""
    told = clip.told
    packed = pack_clip(read_clip_tar(clip.path, told.sha256 if told else None))
    row = packed.row
    held = (row.key, row.video, row.split, row.start, row.frames)
    if told and held != (told.clip, told.video, told.split, told.start, told.frames):
        raise ValueError(f"{clip.path}: its meta.json does not say what the catalog says")
    return packed, measure(decode_clip(clip_members(packed.data, row.key), key=row.key))


def _counted(
    results: Iterable[tuple[PackedClip, Statistics]], sums: dict[str, Statistics]
) -> Iterator[PackedClip]:
    """Pass the clips on and add their statistics to those of their split."""
    for packed, statistics in results:
        sums[packed.row.split].add(statistics)
        yield packed
