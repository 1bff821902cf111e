"""Tar files of clips: the same bytes every time, read back with lengths and digests checked.

The container is WebDataset's: members `<key>.<field>`, the members of one clip side by side. A clip
is one piece of its shard, so it can be read by byte range without the rest.
"""

import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from mila.data.cache import ContentCache
from mila.data.local_storage import LocalStorage
from mila.data.manifest import ClipRow, Manifest, ShardRow, write_manifest
from mila.data.sample import LABEL_FIELDS, Split, labelled_frames, read_meta
from mila.data.storage import Storage, StorageError
from mila.data.tar_layout import NAME_LENGTH, clip_members, end_mark, first_key, member_size

DEFAULT_SHARD_BYTES = 64 << 20


@dataclass(frozen=True)
class PackedClip:
    """A clip as its piece of a tar, not yet placed in a shard."""

    row: ClipRow
    """What the manifest says about it; shard and offset are still empty."""
    data: bytes


class ClipReader:
    """Reads clips of one data set by byte range; what it returns is what was written."""

    def __init__(self, storage: Storage, cache: ContentCache | None = None) -> None:
        self._storage = storage
        self._cache = cache

    def read(self, row: ClipRow) -> dict[str, bytes]:
        """The fields of one clip.

        Raises:
            ValueError: If the shard is missing, too short or altered, after a second look at it;
                the message names shard and clip.
        """
        return clip_members(self._read_checked(row), row.key)

    def _read_checked(self, row: ClipRow) -> bytes:
        cached = self._cache.get(row.sha256) if self._cache else None
        if cached is not None and _digest(cached) == row.sha256:
            return cached
        for _ in range(2):  # a flaw on the way is gone the second time, one in the store is not
            data = self._read_range(row)
            if _digest(data) == row.sha256:
                if self._cache:
                    self._cache.put(row.sha256, data)
                return data
        short = f"{len(data)} of {row.bytes} bytes" if len(data) < row.bytes else "altered bytes"
        raise ValueError(
            f"shard {self._storage.url}/{row.shard}, clip {row.key}: {short}; "
            "its digest is not the one in the manifest"
        )

    def _read_range(self, row: ClipRow) -> bytes:
        try:
            return self._storage.read_range(row.shard, row.offset, row.bytes)
        except FileNotFoundError:
            reason = "the shard is missing"
        except StorageError:
            raise
        except OSError as error:
            reason = f"cannot be read ({error.strerror})"
        raise ValueError(f"shard {self._storage.url}/{row.shard}, clip {row.key}: {reason}")


def read_shard(
    storage: Storage, shard: ShardRow, clips: Iterable[ClipRow]
) -> Iterator[tuple[ClipRow, dict[str, bytes]]]:
    """Read a whole shard in sequence: every clip with its fields.

    Args:
        storage: Where the manifest lies.
        shard: The shard.
        clips: Rows of the manifest; those of other shards are passed over.

    Raises:
        ValueError: If the shard is missing or altered (the clip that is, is named), or does not
            hold exactly the clips of the manifest.
    """
    from webdataset.tariterators import group_by_keys, tar_file_expander  # seconds to import

    rows = {row.key: row for row in clips if row.shard == shard.shard}
    where = f"shard {storage.url}/{shard.shard}"
    try:
        data = storage.read(shard.shard)
    except FileNotFoundError:
        raise ValueError(f"{where}: missing") from None
    if _digest(data) != shard.sha256:
        raise ValueError(f"{where}: {_first_damage(data, shard, rows.values())}")
    source = {"url": shard.shard, "stream": io.BytesIO(data)}
    for sample in group_by_keys(tar_file_expander([source]), lcase=False):
        row = rows.pop(sample["__key__"], None)
        if row is None:
            raise ValueError(f"{where}: holds clip {sample['__key__']}, the manifest does not")
        yield row, {name: value for name, value in sample.items() if not name.startswith("__")}
    if rows:
        raise ValueError(f"{where}: clip {min(rows)} of the manifest is not in it")


def split_shard(
    storage: Storage, shard: ShardRow, clips: Iterable[ClipRow]
) -> Iterator[tuple[ClipRow, bytes | None]]:
    """Every clip of a shard with its piece of the tar, None where it is not as written."""
    try:
        data = storage.read(shard.shard)
    except FileNotFoundError:
        data = b""
    for row in clips:
        if row.shard == shard.shard:
            piece = data[row.offset : row.offset + row.bytes]
            yield row, piece if _digest(piece) == row.sha256 else None


def clip_tar(key: str, fields: Mapping[str, bytes]) -> bytes:
    """One clip as an uncompressed tar: members sorted, no owner, no time.

    Raises:
        ValueError: If the key has dots or slashes or is too long.
    """
    from webdataset import TarWriter  # seconds to import, and only needed to write

    longest = max((len(key) + 1 + len(name) for name in fields), default=0)
    if not key or set(key) & set("./\0") or not 0 < longest <= NAME_LENGTH:
        raise ValueError(f"clip key {key!r}: expected a short name without dots and slashes")
    stream = io.BytesIO()
    with TarWriter(stream, user="", group="", mtime=0, encoder=False) as tar:
        tar.write({"__key__": key, **fields})
    return stream.getvalue()


def pack_clip(tar: bytes) -> PackedClip:
    """Make a clip's tar ready for a shard, and say what the manifest will.

    Raises:
        ValueError: If it is not the tar of one clip, or `meta.json` is missing or incomplete.
    """
    key = first_key(tar)
    fields = clip_members(tar, key)
    data = tar[: sum(member_size(len(content)) for content in fields.values())]
    meta = read_meta(fields, key=key)
    labels = sorted(what for what in LABEL_FIELDS if labelled_frames(fields, what))
    row = ClipRow(
        key=key,
        shard="",
        offset=0,
        bytes=len(data),
        sha256=_digest(data),
        labels=tuple(labels),
        label_frames=tuple(tuple(labelled_frames(fields, what)) for what in labels),
        fps=float(meta["fps"]),
        **{name: meta[name] for name in _META_COLUMNS},
    )
    return PackedClip(row, data)


_META_COLUMNS = ("video", "split", "start", "frames", "height", "width", "label_set")


def write_shards(
    folder: Path, clips: Iterable[PackedClip], *, shard_bytes: int = DEFAULT_SHARD_BYTES
) -> Manifest:
    """Write clips into shards of their split, then the manifest; equal clips give equal bytes.

    Args:
        folder: Where `shards/` and the manifest are made.
        clips: The clips, in the order of their keys.
        shard_bytes: A shard is closed once it is at least as large.

    Raises:
        ValueError: If the keys are not in order, or one comes twice.
    """
    (folder / "shards").mkdir(parents=True, exist_ok=True)
    open_shards: dict[str, _OpenShard] = {}
    shards: list[ShardRow] = []
    rows: list[ClipRow] = []
    try:
        for clip in clips:
            if rows and clip.row.key <= rows[-1].key:
                raise ValueError(f"clip {clip.row.key} comes after {rows[-1].key}: not in order")
            split = clip.row.split
            if split not in open_shards:
                number = sum(row.split == split for row in shards)
                open_shards[split] = _OpenShard(folder, split, number)
            rows.append(open_shards[split].add(clip))
            if open_shards[split].size >= shard_bytes:
                shards.append(open_shards.pop(split).close())
        shards += [shard.close() for shard in open_shards.values()]
    finally:
        for shard in open_shards.values():
            shard.file.close()
    manifest = Manifest(tuple(rows), tuple(shards))
    write_manifest(LocalStorage(folder), manifest)
    return manifest


def write_clip_tar(path: Path, key: str, fields: Mapping[str, bytes]) -> str:
    """Write one clip as an uncompressed tar: members sorted, no owner, no time.

    The file appears under its name only when it is complete.

    Args:
        path: The tar to write; its folder exists.
        key: Name of the clip, without dots.
        fields: Field name to content.

    Returns:
        SHA-256 of the file, in hexadecimal.
    """
    data = clip_tar(key, fields)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_bytes(data)
    partial.replace(path)
    return _digest(data)


def read_clip_tar(path: Path, sha256: str | None) -> bytes:
    """Read the tar of one clip.

    Args:
        path: The tar.
        sha256: Digest the file has to have, in hexadecimal; None does not check it.

    Raises:
        ValueError: If the file is missing or not as it was written.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: not a readable clip ({error.strerror})") from None
    if sha256 is not None and _digest(data) != sha256:
        raise ValueError(f"{path}: its digest is not the one in the catalog")
    return data


class _OpenShard:
    """A shard that is being written."""

    def __init__(self, folder: Path, split: Split, number: int) -> None:
        self.split = split
        self.name = f"shards/{split}-{number:05d}.tar"
        self.size = 0
        self.file: IO[bytes] = (folder / self.name).open("wb")
        self._digest = hashlib.sha256()
        self._clips = 0

    def add(self, clip: PackedClip) -> ClipRow:
        row = replace(clip.row, shard=self.name, offset=self.size)
        self._write(clip.data)
        self._clips += 1
        return row

    def close(self) -> ShardRow:
        self._write(end_mark(self.size))
        self.file.close()
        return ShardRow(self.name, self.split, self._clips, self.size, self._digest.hexdigest())

    def _write(self, data: bytes) -> None:
        self.file.write(data)
        self._digest.update(data)
        self.size += len(data)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _first_damage(data: bytes, shard: ShardRow, rows: Iterable[Any]) -> str:
    """Which clip of a damaged shard is the first that is not as written."""
    length = "" if len(data) == shard.bytes else f"{len(data)} bytes instead of {shard.bytes}, "
    last = ""
    for row in sorted(rows, key=lambda row: int(row.offset)):
        last = row.key
        if _digest(data[row.offset : row.offset + row.bytes]) != row.sha256:
            return f"{length}clip {last} is altered or cut short"
    return f"{length}the end mark after clip {last} is altered"
