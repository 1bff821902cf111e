"""Folders of a run's state in its storage: written, read back and compared, manifest last.

A folder without its manifest does not count. Files above the part size are cut, so that memory
stays bounded and a broken transfer repeats one part. Nothing refers to a checkpoint before `save`
returns.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from mila.data.storage import Storage, StorageError

_FOLDER = "checkpoints/"
_MANIFEST = "manifest.json"
_PART_BYTES = 64 << 20


@dataclass(frozen=True)
class Part:
    """One stored object: a file of the folder, or a piece of one.

    Attributes:
        file: Path in the folder, with forward slashes.
        offset: First byte in the file.
        size: Bytes.
        sha256: Digest of those bytes, in hexadecimal.
    """

    file: str
    offset: int
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """Name of the object, relative to the checkpoint."""
        return f"{self.file}.at{self.offset}" if self.offset else self.file


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, storage: Storage, *, part_bytes: int = _PART_BYTES) -> None:
        """Look at the storage of a run; nothing is read yet."""
        self._storage = storage
        self._part_bytes = part_bytes

    def save(self, folder: Path, name: str) -> None:
        """Store a folder and prove it is there: sizes by listing, digests by reading back.

        Raises:
            StorageError: If the storage refuses it, or what arrived is not what was sent.
        """
        parts = []
        for part, data in self._cut(folder):
            self._storage.put(_path(name, part.name), data)
            parts.append(part)
        self._verify(name, parts)
        text = json.dumps([asdict(part) for part in parts], indent=1)
        self._storage.put(_path(name, _MANIFEST), text.encode())
        if self._storage.read(_path(name, _MANIFEST)) != text.encode():
            raise StorageError(f"{self._where(name)}: the manifest does not read as written")

    def load(self, name: str, folder: Path) -> None:
        """Write a checkpoint's files into a folder; every digest is checked.

        Raises:
            ValueError: If the checkpoint is incomplete or altered; says what is wrong.
        """
        for part in self._parts(name):
            data = self._checked(name, part)
            path = folder / part.file
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("r+b" if part.offset else "wb") as file:
                file.seek(part.offset)
                file.write(data)

    def names(self) -> list[str]:
        """Complete checkpoints, sorted by name."""
        return [
            entry.name.removeprefix(_FOLDER).removesuffix(f".{_MANIFEST}")
            for entry in self._storage.list(_FOLDER)
            if entry.name.endswith(f".{_MANIFEST}")
        ]

    def prune(self, keep: Collection[str]) -> None:
        """Delete everything but these checkpoints, remains of broken uploads included."""
        doomed = [
            entry.name
            for entry in self._storage.list(_FOLDER)
            if entry.name.removeprefix(_FOLDER).partition(".")[0] not in keep
        ]
        # Manifests first: a checkpoint half deleted must not look complete.
        for name in sorted(doomed, key=lambda name: not name.endswith(f".{_MANIFEST}")):
            self._storage.delete(name)

    def _cut(self, folder: Path) -> Iterator[tuple[Part, bytes]]:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            file = path.relative_to(folder).as_posix()
            with path.open("rb") as stream:
                offset = 0
                while (data := stream.read(self._part_bytes)) or offset == 0:
                    yield Part(file, offset, len(data), _sha256(data)), data
                    offset += len(data)
                    if not data:
                        break

    def _verify(self, name: str, parts: list[Part]) -> None:
        sizes = {entry.name: entry.size for entry in self._storage.list(_path(name, ""))}
        for part in parts:
            got = sizes.get(_path(name, part.name))
            if got != part.size:
                found = "is not there" if got is None else f"has {got} bytes"
                raise StorageError(
                    f"{self._where(name)}.{part.name}: {part.size} bytes were sent, it {found}"
                )
            self._checked(name, part)

    def _checked(self, name: str, part: Part) -> bytes:
        """The bytes of a part, read from the storage."""
        where = f"{self._where(name)}.{part.name}"
        try:
            data = self._storage.read(_path(name, part.name))
        except FileNotFoundError:
            raise StorageError(f"{where}: missing from the checkpoint") from None
        if len(data) != part.size or _sha256(data) != part.sha256:
            raise StorageError(
                f"{where}: altered; expected {part.size} bytes with SHA-256 {part.sha256[:12]}, "
                f"got {len(data)} with {_sha256(data)[:12]}"
            )
        return data

    def _parts(self, name: str) -> list[Part]:
        try:
            return [Part(**row) for row in json.loads(self._storage.read(_path(name, _MANIFEST)))]
        except FileNotFoundError:
            raise StorageError(f"{self._where(name)}: no complete checkpoint there") from None
        except (json.JSONDecodeError, TypeError) as error:
            raise StorageError(f"{self._where(name)}: unreadable manifest ({error})") from None

    def _where(self, name: str) -> str:
        return f"{self._storage.url}/{_FOLDER}{name}"


def new_checkpoint_name(total_update: int) -> str:
    """A name, without dots, that no other upload has: also not one cut off at the same update."""
    return f"{total_update:08d}-{uuid.uuid4().hex[:8]}"


def _path(checkpoint: str, name: str) -> str:
    """Objects lie side by side, so that nothing is left when they are deleted."""
    return f"{_FOLDER}{checkpoint}.{name}"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
