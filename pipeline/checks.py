"""What must be true of a data set: of its manifest, its shards and every sample in them."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from mila.data.manifest import ClipRow, Manifest, ShardRow
from mila.data.sample import (
    LABEL_FIELDS,
    META_FIELD,
    ClipArrays,
    Split,
    decode_clip,
    labelled_frames,
    read_meta,
)
from mila.data.shards import read_shard, split_shard
from mila.data.storage import Storage
from mila.data.tar_layout import clip_members
from mila.tasks import IGNORE_LABEL, LABEL_SETS
from pipeline.statistics import Statistics, measure

LARGEST_DEPTH_M = 1000.0
_FIELD = re.compile(rf"\d{{2,}}\.(image\.jpg|({'|'.join(LABEL_FIELDS)})\.png)")
_NORMAL_SLACK = 0.02


@dataclass(frozen=True)
class ShardFindings:
    """What was found in one shard."""

    split: Split
    problems: list[str]
    statistics: Statistics
    """Of the clips without problems."""


def check_manifest(manifest: Manifest) -> list[str]:
    """Problems that the manifest alone shows."""
    problems = []
    splits = defaultdict(set)
    counts = defaultdict(int)
    for row in manifest.clips:
        splits[row.video].add(row.split)
        counts[row.key] += 1
        if row.label_set not in LABEL_SETS:
            problems.append(f"clip {row.key}: unknown label set {row.label_set!r}")
    for video, found in sorted(splits.items()):
        if len(found) > 1:
            problems.append(f"video {video} is in more than one split: {', '.join(sorted(found))}")
    problems += [f"clip {key} is listed {n} times" for key, n in counts.items() if n > 1]
    if not manifest.clips:
        problems.append("the manifest lists no clips")
    return problems


def check_shard(storage: Storage, shard: ShardRow, clips: Iterable[ClipRow]) -> ShardFindings:
    """Read one shard and open every clip in it."""
    rows = [row for row in clips if row.shard == shard.shard]
    problems: list[str] = []
    statistics = Statistics()
    try:
        for _ in read_shard(storage, shard, rows):
            pass
    except ValueError as error:
        problems.append(str(error))
    if not any(entry.name == shard.shard for entry in storage.list(shard.shard)):
        return ShardFindings(shard.split, problems, statistics)
    for row, piece in split_shard(storage, shard, rows):
        where = f"shard {storage.url}/{shard.shard}, clip {row.key}"
        if piece is None:
            said = any(f"clip {row.key} " in problem for problem in problems)
            problems += [] if said else [f"{where}: is altered or cut short"]
            continue
        found, measured = _check_clip(row, piece)
        problems += [f"{where}: {problem}" for problem in found]
        if measured and not found:
            statistics.add(measured)
    return ShardFindings(shard.split, problems, statistics)


def _check_clip(row: ClipRow, piece: bytes) -> tuple[list[str], Statistics | None]:
    """Problems of one clip whose bytes are as written, and its statistics."""
    try:
        fields = clip_members(piece, row.key)
        problems = list(_field_problems(row, fields))
        clip = decode_clip(fields, key=row.key)
    except ValueError as error:
        return [str(error)], None
    return problems + list(_value_problems(row, clip)), measure(clip)


def _field_problems(row: ClipRow, fields: dict[str, bytes]) -> Iterator[str]:
    """What is wrong with the fields of a sample before any is decoded."""
    meta = read_meta(fields, key=row.key)
    for name in ("video", "split", "fps", "start", "frames", "height", "width", "label_set"):
        if meta.get(name) != getattr(row, name):
            yield f"{META_FIELD} says {name} {meta.get(name)!r}, manifest {getattr(row, name)!r}"
    for name in fields:
        if name != META_FIELD and not _FIELD.fullmatch(name):
            yield f"unknown field {name}"
        elif name != META_FIELD and int(name.partition(".")[0]) >= row.frames:
            yield f"field {name} of a clip of {row.frames} frames"
    labels = {what: tuple(labelled_frames(fields, what)) for what in LABEL_FIELDS}
    held = tuple((what, frames) for what, frames in sorted(labels.items()) if frames)
    if held != tuple(zip(row.labels, row.label_frames, strict=True)):
        yield "its labels are not those of the manifest"
    if 0 in labels["flow"]:
        yield "frame 0 has backward flow, and no frame before it"


def _value_problems(row: ClipRow, clip: ClipArrays) -> Iterator[str]:
    """What is wrong with the pixels of a sample."""
    classes = len(LABEL_SETS[row.label_set]) if row.label_set in LABEL_SETS else IGNORE_LABEL
    wrong = (clip.semseg >= classes) & (clip.semseg != IGNORE_LABEL)
    if wrong.any():
        frame = int(np.argmax(wrong.any(axis=(1, 2))))
        ids = ", ".join(str(v) for v in np.unique(clip.semseg[wrong])[:5])
        known = f"{row.label_set} has 0..{classes - 1} and {IGNORE_LABEL}"
        yield f"frame {frame}: label ids {ids}; {known}"
    if clip.depth.max() > LARGEST_DEPTH_M:
        yield f"depth of {clip.depth.max():.1f} m, more than {LARGEST_DEPTH_M:.0f} m"
    if clip.normals is not None:
        length = np.linalg.norm(clip.normals, axis=-1)
        if (np.abs(length - 1) > _NORMAL_SLACK)[length > 0].any():
            yield "normals that are not of length 1"
    if not 0 < clip.fps < np.inf:
        yield f"{clip.fps} frames per second"
