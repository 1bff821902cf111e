"""A folder of byte strings by their SHA-256, bounded in size and shared by several processes.

An entry is a file that is moved into place when complete. The total size is kept in a file that
changes under a lock; when it passes the limit, the entries used longest ago are removed.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_KEPT_AFTER_EVICTION = 0.9


class ContentCache:
    """Keeps what was read from far away; losing an entry costs one more read, nothing else.

    The reader checks the digest of what it gets: the cache does not.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        """Use `folder`, made when the first entry comes.

        Args:
            folder: Where the entries lie; several processes may share it.
            limit_bytes: The entries together never take more.

        Raises:
            ValueError: If the limit is not positive.
        """
        if limit_bytes <= 0:
            raise ValueError(f"cache {folder}: a limit of {limit_bytes} bytes keeps nothing")
        self._folder = folder
        self._limit = limit_bytes

    def get(self, digest: str) -> bytes | None:
        """The entry, or None; a hit makes it the most recently used one."""
        path = self._path(digest)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:  # not there, or removed by another process in between
            return None
        return data

    def put(self, digest: str, data: bytes) -> None:
        """Keep `data`, unless it alone is larger than the limit."""
        if len(data) > self._limit:
            return
        path = self._path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked():
            replaced = path.stat().st_size if path.exists() else 0
            total = self._read_total() + len(data) - replaced
            if total > self._limit:
                total = self._evict(int(self._limit * _KEPT_AFTER_EVICTION) - len(data), digest)
                total += len(data)
            # Counted before it is there: a crash here makes the total too large, never too small.
            self._total_path.write_text(str(total))
            partial = path.with_suffix(".partial")
            partial.write_bytes(data)
            partial.replace(path)

    def _evict(self, goal: int, digest: str) -> int:
        """Remove the longest unused entries until at most `goal` bytes are left; count them."""
        entries = []
        for path in self._folder.glob("??/*"):
            if path.suffix == ".partial" or path.name == digest:
                path.unlink(missing_ok=True)
                continue
            status = path.stat()
            entries.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= max(goal, 0):
                break
            path.unlink(missing_ok=True)
            total -= size
        return total

    def _read_total(self) -> int:
        try:
            return int(self._total_path.read_text())
        except (OSError, ValueError):  # first entry, or a torn write: count what is there
            return sum(path.stat().st_size for path in self._folder.glob("??/*"))

    @property
    def _total_path(self) -> Path:
        return self._folder / "total"

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time; the lock goes when its holder does, however it ends."""
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
