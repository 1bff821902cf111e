"""Progress for people: a bar on a terminal, one plain line per report elsewhere."""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO

from flows.journal import Journal
from mila.tasks import TASKS
from mila.training.context import Report

_NOTICES_EVERY_S = 0.5


class Progress:
    """Shows committed reports."""

    def __init__(self, total_updates: int, *, stream: TextIO | None = None) -> None:
        """Begin.

        Args:
            total_updates: Updates over all stages.
            stream: Where to; by default standard output.
        """
        self._stream = stream or sys.stdout
        self._total = total_updates
        self._bar = _Bar(total_updates, self._stream) if self._stream.isatty() else None

    def show(self, report: Report) -> None:
        """Show one report."""
        if self._bar is not None:
            self._bar.show(report)
        else:
            share = 100 * report.total_update / max(1, self._total)
            what = f"{report.stage} {report.update}/{report.stage_updates}"
            self._stream.write(f"[{share:3.0f} %] {what}  {_numbers(report)}\n")
            self._stream.flush()

    def say(self, text: str) -> None:
        """Show words between the reports."""
        if self._bar is not None:
            self._bar.say(text)
        else:
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def close(self) -> None:
        """Leave the terminal in order."""
        if self._bar is not None:
            self._bar.close()

    @contextlib.contextmanager
    def follow(
        self,
        journal: Journal,
        *,
        every_s: float,
        notices: Callable[[], Iterable[str]] = tuple,
    ) -> Iterator[None]:
        """Show what appears in a journal, and what notices are given, while a block runs."""
        done = threading.Event()
        shown = journal.length()

        def watch() -> None:
            nonlocal shown
            ended, due = False, 0.0
            while not ended:
                ended = done.wait(min(every_s, _NOTICES_EVERY_S))
                for text in notices():
                    self.say(text)
                if not ended and time.monotonic() < due:
                    continue
                due = time.monotonic() + every_s
                with contextlib.suppress(OSError, ValueError):  # storage away: look again later
                    for record in journal.since(shown):
                        self.show(Report(**record.report))
                        shown = record.number

        thread = threading.Thread(target=watch, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(10.0)


def _numbers(report: Report) -> str:
    """Loss, main validation metrics, speed, share of time spent waiting for data, time to go."""
    parts = [f"loss {report.metrics.get('loss', math.nan):.4g}"]
    for task in TASKS.values():
        value = report.metrics.get(f"val/{task.name}/{task.metric}")
        if value is not None:
            parts.append(f"{task.name} {task.metric} {value:.4g}")
    left = f"{int(report.seconds_left // 60)}:{int(report.seconds_left % 60):02d}"
    parts += [f"{report.clips_per_second:.1f} clips/s", f"wait {100 * report.wait_share:.0f} %"]
    return "  ".join([*parts, f"left {left}"])


class _Bar:
    """A bar, and the numbers of the newest report in a line below it."""

    def __init__(self, total: int, stream: TextIO) -> None:
        from rich.console import Console, Group
        from rich.live import Live
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.text import Text

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
        )
        self._task = self._progress.add_task("starting", total=total)
        self._numbers = Text()
        self._live = Live(Group(self._progress, self._numbers), console=Console(file=stream))
        self._live.start()

    def show(self, report: Report) -> None:
        self._numbers.plain = _numbers(report)
        self._progress.update(
            self._task,
            completed=report.total_update,
            description=f"{report.stage} {report.update}/{report.stage_updates}",
        )

    def say(self, text: str) -> None:
        self._live.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._live.stop()
