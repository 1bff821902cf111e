"""The manifest of a data set: which shards exist, and where in them every clip lies.

Two Parquet files beside the shards: `clips.parquet` and `shards.parquet`. Rows are sorted, so equal
data gives equal bytes. Each file carries the digest of its rows: an altered one is refused.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from mila.data.sample import SPLITS, Split
from mila.data.storage import Storage

CLIPS_NAME = "clips.parquet"
SHARDS_NAME = "shards.parquet"

_DIGEST = b"mila.rows_sha256"
"""Entry of a file's Parquet metadata."""


@dataclass(frozen=True)
class ClipRow:
    """One clip of the data set."""

    key: str
    video: str
    split: Split
    shard: str
    """Name of the shard, relative to the manifest."""
    offset: int
    """First byte of the clip's members in the shard."""
    bytes: int
    """Length of the clip's members, headers and padding included."""
    sha256: str
    """Digest of those bytes, in hexadecimal."""
    fps: float
    start: int
    """Index of the clip's first frame in its video."""
    frames: int
    height: int
    width: int
    labels: tuple[str, ...]
    """Labels that at least one frame has, sorted."""
    label_frames: tuple[tuple[int, ...], ...]
    """For each of `labels` the frames of the clip that have it."""
    label_set: str

    def labelled(self, tasks: Iterable[str]) -> list[int]:
        """Frames of the clip with a label of at least one of these tasks, in order."""
        wanted = set(tasks)
        pairs = zip(self.labels, self.label_frames, strict=True)
        return sorted({t for label, frames in pairs if label in wanted for t in frames})


@dataclass(frozen=True)
class ShardRow:
    """One tar file."""

    shard: str
    """Name relative to the manifest."""
    split: Split
    clips: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """All clips and shards of one data set; clips by split, then by key."""

    clips: tuple[ClipRow, ...]
    shards: tuple[ShardRow, ...]

    def split(self, name: Split) -> tuple[ClipRow, ...]:
        """The clips of one split, in the order of their keys."""
        return tuple(row for row in self.clips if row.split == name)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over what the clips hold; how they are spread over shards does not matter."""
        digest = hashlib.sha256()
        for row in sorted(self.clips, key=lambda row: row.key):
            content = {k: v for k, v in asdict(row).items() if k not in ("shard", "offset")}
            digest.update(json.dumps(content, sort_keys=True).encode())
        return digest.hexdigest()


def read_manifest(storage: Storage) -> Manifest:
    """Read the manifest of a data set.

    Args:
        storage: The folder or prefix that holds the manifest.

    Raises:
        ValueError: If a file is missing, is not Parquet, has other columns, is altered or
            contradicts the other file.
    """
    clips = _read_rows(storage, CLIPS_NAME, ClipRow)
    shards = _read_rows(storage, SHARDS_NAME, ShardRow)
    counted: dict[str, int] = {}
    for clip in clips:
        counted[clip.shard] = counted.get(clip.shard, 0) + 1
    for shard in shards:
        if counted.pop(shard.shard, 0) != shard.clips:
            raise ValueError(
                f"{storage.url}: {CLIPS_NAME} and {SHARDS_NAME} disagree on {shard.shard}"
            )
    if counted:
        raise ValueError(f"{storage.url}: {SHARDS_NAME} does not list {min(counted)}")
    return Manifest(clips, shards)


def write_manifest(storage: Storage, manifest: Manifest) -> None:
    """Write both files, the clips last: who finds them finds everything."""
    shards = sorted(manifest.shards, key=lambda row: row.shard)
    clips = sorted(manifest.clips, key=lambda row: (SPLITS.index(row.split), row.key))
    storage.put(SHARDS_NAME, _parquet(shards, ShardRow))
    storage.put(CLIPS_NAME, _parquet(clips, ClipRow))


Row = TypeVar("Row", ClipRow, ShardRow)


def _read_rows(storage: Storage, name: str, kind: type[Row]) -> tuple[Row, ...]:
    where = f"{storage.url}/{name}"
    try:
        data = storage.read(name)
    except FileNotFoundError:
        raise ValueError(f"{where}: no manifest there; run pipeline.shard first") from None
    try:
        table = pq.read_table(io.BytesIO(data))
        found = table.to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:  # pyarrow's words for damage
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{where}: not a manifest, or damaged ({reason})") from None
    if not table.schema.equals(_schema(kind)):
        raise ValueError(
            f"{where}: columns {table.schema.names}, expected {_schema(kind).names}; "
            "make the shards again"
        )
    rows = tuple(kind(**{k: _frozen(v) for k, v in row.items()}) for row in found)
    if (table.schema.metadata or {}).get(_DIGEST) != _digest(found):
        raise ValueError(f"{where}: its rows are not those that were written; make it again")
    return rows


def _parquet(rows: Sequence[Row], kind: type[Row]) -> bytes:
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=_schema(kind))
    stream = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({_DIGEST: _digest(table.to_pylist())}), stream)
    return stream.getvalue()


def _digest(rows: list[dict[str, Any]]) -> bytes:
    """SHA-256 over all columns of all rows as a table gives them, in hexadecimal."""
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest().encode()


_TYPES: dict[Any, Any] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    Split: pa.string(),
    tuple[str, ...]: pa.list_(pa.string()),
    tuple[tuple[int, ...], ...]: pa.list_(pa.list_(pa.int64())),
}


def _schema(kind: type[Row]) -> pa.Schema:
    """The columns are the fields of the row, in their order; nothing may be absent."""
    return pa.schema([pa.field(f.name, _TYPES[f.type], nullable=False) for f in fields(kind)])


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
