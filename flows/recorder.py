"""Committed report -> journal -> tracking; training waits for the journal only.

Under Ray this runs in the controller, in a plain process beside the loop. Records are sent from a
thread that tries again with growing pauses; what it could not send, the end of the run sends.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from flows.journal import Journal, Record
from flows.lease import check_lease
from flows.tracked_run import TrackedRun
from mila.data.storage import Storage

_FIRST_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 60.0


class Recorder:
    """Writes the history of a run; may be pickled to the process that keeps it."""

    def __init__(self, storage: Storage, run: TrackedRun, *, attempt: int) -> None:
        """Begin a stretch of history.

        Args:
            storage: The run's storage.
            run: Where records are sent.
            attempt: Generation of the lease under which this process trains.
        """
        self._storage = storage
        self._run = run
        self._attempt = attempt
        self._failures: list[str] = []
        self._told = 0  # failures that have become tags
        self._warnings: list[str] = []
        self._warned = 0  # warnings of which the tag tells
        self._sender: _Sender | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The thread stays behind."""
        return {**self.__dict__, "_sender": None}

    def record(self, report: Mapping[str, Any], checkpoint: str) -> Record:
        """Register a report whose checkpoint is stored and verified: now it is committed.

        Raises:
            TakenOverError: If another trainer goes on with this run.
        """
        check_lease(self._storage, self._attempt)
        record = Journal(self._storage).append(report, checkpoint=checkpoint, attempt=self._attempt)
        self._send_soon()
        return record

    def failed(self, cause: str) -> None:
        """Note why an attempt of the workers ended; shown as a tag of the run."""
        self._failures.append(last_line(cause))
        self._send_soon()

    def warned(self, text: str) -> None:
        """Note that a checkpoint failed with which training goes on; a tag of the run counts it."""
        self._warnings.append(last_line(text))
        self._send_soon()

    def close(self, wait_s: float) -> None:
        """Let the thread send for a bounded time, then end it."""
        if self._sender is not None:
            self._sender.close(wait_s)
            self._sender = None

    def _send_soon(self) -> None:
        if self._sender is None:
            self._sender = _Sender(self._send)
        self._sender.wake()

    def _send(self) -> bool:
        sent = self._run.send(Journal(self._storage))
        if self._warned < len(self._warnings):  # also while the storage, and the journal, is away
            count = len(self._warnings)
            text = f"{count}, the last one: {self._warnings[-1]}"
            self._run.tags({f"checkpoints.failed.{self._attempt}": text})
            self._warned = count if sent else self._warned
        if not sent:
            return False
        while self._told < len(self._failures):
            cause = self._failures[self._told]
            self._told += 1
            self._run.tags({f"failure.{self._attempt}.{self._told}": cause})
        return True


def last_line(text: str) -> str:
    """The last line of an error's text, which is its cause, at a length that is fit to be shown."""
    return text.strip().split("\n")[-1][:300]


class _Sender:
    """A thread that calls `send` when woken, and again after a pause where that failed."""

    def __init__(self, send: Any) -> None:
        self._send = send
        self._work = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._loop, name="sender", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._work.set()

    def close(self, wait_s: float) -> None:
        self._closing = True
        self._work.set()
        self._thread.join(wait_s)

    def _loop(self) -> None:
        pause: float | None = None
        while not self._closing:
            self._work.wait(pause)
            self._work.clear()
            sent = self._send()
            pause = None if sent else min(_LONGEST_PAUSE_S, 2 * (pause or _FIRST_PAUSE_S / 2))
