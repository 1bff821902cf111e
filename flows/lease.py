"""One live trainer per run: who holds the run's lease trains, everybody else stops with a sentence.

Each holder has a generation: an object that only one writer can create. The holder renews a
heartbeat beside it. A lease is free when it was given back, when its process is known to be dead,
or when its heartbeat has not changed for `stale_after_s` of the watcher's own clock (clocks are
never compared).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from flows.journal import TakenOverError
from mila.data.storage import Storage, StorageError

_FOLDER = "lease/"


class LeaseHeldError(ValueError):
    """Another live process trains this run."""


@dataclass(frozen=True)
class Timing:
    """How often the heartbeat is renewed, and after which silence a lease is free; seconds."""

    beat_every_s: float = 5.0
    stale_after_s: float = 30.0


@dataclass(frozen=True)
class Holder:
    """A process that can be recognised again on its own machine.

    Attributes:
        host: Name of the machine.
        pid: Process id.
        place: Boot and process namespace, where the process id means something; empty if unknown.
        started: Start time of the process in clock ticks since boot; empty if unknown.
    """

    host: str
    pid: int
    place: str
    started: str

    @classmethod
    def this_process(cls) -> Holder:
        """The process that asks."""
        return cls(socket.gethostname(), os.getpid(), _place(), _started(os.getpid()))

    def is_dead(self) -> bool:
        """Whether this is certainly a process of this machine that has ended."""
        here = bool(self.place) and self.place == _place() and self.host == socket.gethostname()
        return here and _started(self.pid) != self.started

    def is_alive(self) -> bool:
        """Whether this is certainly a process of this machine that still runs."""
        here = bool(self.place) and self.place == _place() and self.host == socket.gethostname()
        return here and bool(self.started) and _started(self.pid) == self.started


class Lease:
    """A generation of a run's lease, renewed by a thread until it is released."""

    def __init__(self, storage: Storage, generation: int, timing: Timing) -> None:
        """Begin to renew; use `acquire_lease`."""
        self.generation = generation
        self._storage = storage
        self._timing = timing
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Give the lease back: the next trainer may start at once."""
        self._ended.set()
        self._thread.join(timeout=self._timing.stale_after_s)
        with contextlib.suppress(StorageError):  # then it goes stale by itself
            self._storage.put(_name(self.generation, "end"), b"")

    def __enter__(self) -> Lease:
        """Hold it for a block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it back however the block ends."""
        self.release()

    def _renew(self) -> None:
        count = 1
        while not self._ended.wait(self._timing.beat_every_s):
            count += 1
            try:
                self._storage.put(_name(self.generation, "beat"), str(count).encode())
            except (OSError, ValueError):
                # Storage away: training goes on, and the journal refuses a second writer.
                continue


def acquire_lease(
    storage: Storage,
    *,
    timing: Timing | None = None,
    wait_s: float = 0.0,
    say: Callable[[str], None] = lambda _: None,
) -> Lease:
    """Take the lease of a run, from a dead or silent holder if need be.

    Args:
        storage: The run's storage.
        timing: Renewal and staleness.
        wait_s: How long to wait for a live holder to end, seconds; 0 = refuse at once.
        say: Told in a sentence when a wait begins and when a lease is taken over.

    Raises:
        LeaseHeldError: If another live process holds it, or wins the race for it.
    """
    timing = timing or Timing()
    deadline = time.monotonic() + wait_s
    generation = _wait_until_free(storage, timing, deadline, say)
    claim = json.dumps(asdict(Holder.this_process())).encode()
    if not storage.put_if_absent(_name(generation + 1, "holder"), claim):
        raise LeaseHeldError(f"{storage.url}: another trainer took this run a moment ago")
    storage.put(_name(generation + 1, "beat"), b"1")
    _forget(storage, before=generation)
    return Lease(storage, generation + 1, timing)


def check_lease(storage: Storage, generation: int) -> None:
    """Return while no younger generation exists.

    Raises:
        TakenOverError: If somebody took the run over.
    """
    newest = _newest(storage)
    if newest > generation:
        raise TakenOverError(
            f"{storage.url}: another trainer took this run over (generation {newest}, "
            f"this is {generation})"
        )


def _wait_until_free(
    storage: Storage, timing: Timing, deadline: float, say: Callable[[str], None]
) -> int:
    """The newest generation, once it is free; 0 if there is none."""
    told = False
    while True:
        generation = _newest(storage)
        holder = _live_holder(storage, generation, timing, say)
        if holder is None:
            return generation
        who = f"{storage.url}: process {holder.pid} on {holder.host} trains this run"
        if time.monotonic() >= deadline:
            raise LeaseHeldError(f"{who}; wait for it, end it, or give another name=")
        if not told:
            say(f"{who}; waiting for it to end")
            told = True
        time.sleep(min(1.0, timing.beat_every_s, max(0.0, deadline - time.monotonic())))


def _live_holder(
    storage: Storage, generation: int, timing: Timing, say: Callable[[str], None]
) -> Holder | None:
    """Who holds a generation; None if it is free."""
    names = {entry.name for entry in storage.list(_FOLDER)}
    if not generation or _name(generation, "end") in names:
        return None
    holder = Holder(**json.loads(storage.read(_name(generation, "holder"))))
    who = f"process {holder.pid} on {holder.host}"
    if holder.is_dead():
        say(f"{who} held this run and has ended; going on from its last checkpoint")
        return None
    if holder.is_alive() or not _falls_silent(storage, generation, timing):
        return holder
    say(f"{who} has been silent for {timing.stale_after_s:g} s; taking the run over")
    return None


def _falls_silent(storage: Storage, generation: int, timing: Timing) -> bool:
    """Watch a heartbeat until it changes (False) or has not for `stale_after_s` (True)."""
    first = _beat(storage, generation)
    deadline = time.monotonic() + timing.stale_after_s
    while time.monotonic() < deadline:
        time.sleep(min(1.0, timing.beat_every_s / 2))
        if _beat(storage, generation) != first:
            return False
    return True


def _beat(storage: Storage, generation: int) -> bytes:
    try:
        return storage.read(_name(generation, "beat"))
    except FileNotFoundError:  # the holder died between its claim and its first beat
        return b""


def _newest(storage: Storage) -> int:
    numbers = [int(entry.name.removeprefix(_FOLDER)[:8]) for entry in storage.list(_FOLDER)]
    return max(numbers, default=0)


def _forget(storage: Storage, *, before: int) -> None:
    """Delete generations older than the one before the holder's."""
    for entry in storage.list(_FOLDER):
        if int(entry.name.removeprefix(_FOLDER)[:8]) < before:
            storage.delete(entry.name)


def _name(generation: int, what: str) -> str:
    return f"{_FOLDER}{generation:08d}.{what}"


def _place() -> str:
    """Boot and process namespace of this machine; empty where the system does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Start time of a process; empty if there is none of that id."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    except OSError:
        return ""
    fields = after_name.split()
    return "" if fields[0] in ("Z", "X") else fields[19]
