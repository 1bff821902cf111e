"""Progress of a sweep for people: a line for every report of a trial, with the time to go."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ray.tune import Callback


class SweepProgress(Callback):
    """Hears every report; tells how far the whole sweep is."""

    def __init__(
        self,
        trials: int,
        updates: int,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin.

        Args:
            trials: Trials of the sweep.
            updates: Of each trial.
            say: Where lines go.
            clock: Seconds.
        """
        self._trials = trials
        self._updates = updates
        self._say = say
        self._clock = clock
        self.setup()

    def setup(self, *_: Any, **info: Any) -> None:
        """A sweep begins, or goes on in another process."""
        self._started = self._clock()
        self._done: dict[str, int] = {}

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """One line."""
        name, done = str(trial), int(result["updates"])
        self._done[name] = done
        share = sum(self._done.values()) / (self._trials * self._updates)
        left = (self._clock() - self._started) * (1 - share) / share
        self._say(
            f"[{100 * share:3.0f} %] {name} {done}/{self._updates}  score {result['score']:.4f}  "
            f"{result['gmac_per_frame']:.3f} GMAC per frame  "
            f"left {int(left // 60)}:{int(left % 60):02d}"
        )

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial that ended early takes no more time."""
        self._done[str(trial)] = self._updates
