"""From settings to a data set that can be read, and to loaders for training and evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mila.config import DataSettings
from mila.data.cache import ContentCache
from mila.data.draws import FrameDraw
from mila.data.loader import ClipLoader, LoaderSettings
from mila.data.manifest import Manifest, read_manifest
from mila.data.sample import Split
from mila.data.shards import ClipReader
from mila.data.storage import S3Options, open_storage
from mila.data.transforms import Augmentation

_GIB = 1 << 30


@dataclass(frozen=True)
class DataSource:
    """A data set that can be read."""

    manifest: Manifest
    reader: ClipReader


def open_source(
    data: DataSettings, s3: S3Options | None = None, *, label_set: str | None = None
) -> DataSource:
    """Read the manifest at `data.root` and get ready to read its clips.

    Args:
        data: Which data set, and its cache.
        s3: How to reach S3; None leaves that to the usual AWS variables.
        label_set: Classes that semantic labels must belong to; None takes any.

    Raises:
        ValueError: If there is no manifest, it is not one, or the classes are others.
    """
    storage = open_storage(data.root, s3)
    manifest = read_manifest(storage)
    for row in manifest.clips:
        if label_set and "semseg" in row.labels and row.label_set != label_set:
            raise ValueError(
                f"{data.root}: clip {row.key} has the classes of {row.label_set}, "
                f"model.label_set is {label_set}"
            )
    cache = ContentCache(Path(data.cache), int(data.cache_gib * _GIB)) if data.cache else None
    return DataSource(manifest, ClipReader(storage, cache))


def training_loader(
    source: DataSource,
    data: DataSettings,
    draw: FrameDraw,
    tasks: Sequence[str],
    *,
    batch_size: int,
    seed: int,
    flow: bool = False,
) -> ClipLoader:
    """The training split, shuffled and augmented as the settings say."""
    return ClipLoader(
        source.manifest,
        source.reader,
        LoaderSettings(
            split="train",
            draw=draw,
            tasks=tuple(tasks),
            batch_size=batch_size,
            seed=seed,
            tail=data.tail,
            augmentation=Augmentation(
                crop=data.crop, scale=data.scale, flip=data.flip, colour=data.colour
            ),
            clips_from_stills=data.clips_from_stills and draw.kind == "offset",
            flow=flow,
            workers=data.loader_workers,
        ),
    )


def evaluation_loader(
    source: DataSource, split: Split, tasks: Sequence[str], *, flow: bool = False, workers: int = 0
) -> ClipLoader:
    """Whole clips of a split, one at a time, in the order of the manifest, unchanged."""
    settings = _one_by_one(split, FrameDraw("all"), tasks)
    settings = replace(settings, flow=flow, workers=workers)
    return ClipLoader(source.manifest, source.reader, settings)


def moved_stills_loader(
    source: DataSource, split: Split, tasks: Sequence[str], draw: FrameDraw
) -> ClipLoader:
    """Clips made of the stills of a split, one at a time; the same ones every time."""
    settings = replace(_one_by_one(split, draw, tasks), clips_from_stills=True)
    return ClipLoader(source.manifest, source.reader, settings)


def _one_by_one(split: Split, draw: FrameDraw, tasks: Sequence[str]) -> LoaderSettings:
    return LoaderSettings(split, draw, tuple(tasks), batch_size=1, shuffle=False)
