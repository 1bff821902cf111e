"""Bytes under a name in a local folder: the local half of `mila.data.storage`."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One stored object."""

    name: str
    """Relative to the storage's URL."""
    size: int
    """Bytes."""


class LocalStorage:
    """A folder; it is made by the first write."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def url(self) -> str:
        """The folder."""
        return str(self._folder)

    def read(self, name: str) -> bytes:
        """All bytes of a file."""
        return self._path(name).read_bytes()

    def read_range(self, name: str, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on; fewer only where the file ends before."""
        with self._path(name).open("rb", buffering=0) as file:
            return _read_whole(lambda done: os.pread(file.fileno(), size - done, offset + done))

    def put(self, name: str, data: bytes) -> None:
        """Write a file beside its place and move it there."""
        path = self._path(name)
        partial = self._write_partial(path, data)
        partial.replace(path)

    def put_if_absent(self, name: str, data: bytes) -> bool:
        """Write a file beside its place and link it there if the name is free."""
        path = self._path(name)
        partial = self._write_partial(path, data)
        try:
            path.hardlink_to(partial)
        except FileExistsError:
            return False
        finally:
            partial.unlink()
        return True

    def list(self, prefix: str = "") -> list[Entry]:
        """Files whose name starts with `prefix`, sorted; unfinished ones are left out."""
        found = []
        for path in self._folder.rglob("*"):
            name = path.relative_to(self._folder).as_posix()
            if name.startswith(prefix) and path.is_file() and path.suffix != ".partial":
                found.append(Entry(name, path.stat().st_size))
        return sorted(found, key=lambda entry: entry.name)

    def delete(self, name: str) -> None:
        """Remove a file; no error if there is none."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / checked_name(name)

    @staticmethod
    def _write_partial(path: Path, data: bytes) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return partial


def _read_whole(read: Callable[[int], bytes]) -> bytes:
    """Join what `read(bytes so far)` gives until it gives nothing."""
    pieces, done = [], 0
    while piece := read(done):
        pieces.append(piece)
        done += len(piece)
    return b"".join(pieces)


def checked_name(name: str) -> str:
    """Refuse names that would leave the storage."""
    if not name or name.startswith("/") or ".." in name.split("/"):
        raise ValueError(f"storage name {name!r}: expected a relative name without '..'")
    return name
