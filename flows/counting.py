"""Progress of work that is counted: done, of how many, time to go; for people."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

_EVERY_S = 5.0
"""Seconds between plain lines."""


class Counting:
    """A line that is drawn again on a terminal, a plain line now and then elsewhere."""

    def __init__(
        self,
        what: str,
        total: int | None,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin.

        Args:
            what: What is counted, e.g. "clips".
            total: How many there are; None = not known.
            stream: Where to; by default standard error.
            clock: Seconds.
        """
        self._what = what
        self._total = total
        self._stream = stream or sys.stderr
        self._clock = clock
        self._started = self._shown = clock()

    def show(self, done: int) -> None:
        """Tell that so many are done."""
        now = self._clock()
        finished = done == self._total
        if self._stream.isatty():
            self._stream.write(f"\r\x1b[K{self._line(done, now)}" + ("\n" if finished else ""))
        elif finished or now - self._shown >= _EVERY_S:
            self._stream.write(self._line(done, now) + "\n")
            self._shown = now
        self._stream.flush()

    def _line(self, done: int, now: float) -> str:
        spent = now - self._started
        if self._total is None:
            return f"{self._what}: {done}, {done / max(spent, 1e-9):.1f}/s"
        left = spent / max(done, 1) * (self._total - done)
        share = 100 * done / max(self._total, 1)
        return f"{self._what}: {done}/{self._total} ({share:.0f} %), {_clock_face(left)} to go"


def _clock_face(seconds: float) -> str:
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"
