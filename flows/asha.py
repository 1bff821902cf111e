"""Which trials of a sweep end early: ASHA on frames processed, one field per keyframe interval.

A larger interval always costs accuracy; in one common field no trial with a large interval would
ever reach its end.
"""

from __future__ import annotations

import math
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

from flows.trials import frames_per_update
from mila.config import Params

_REDUCTION = 2
"""One of so many trials goes on past a rung."""


class AshaByInterval(FIFOScheduler):  # type: ignore[misc]
    """Starts trials in order; each competes with those of its keyframe interval."""

    def __init__(self, params: Params) -> None:
        """Take grace and length from `sweep`."""
        super().__init__()
        frames = frames_per_update(params)
        updates = params.sweep.updates
        self._grace = math.ceil(params.sweep.grace * updates) * frames
        self._most = updates * frames
        self._fields: dict[int, Any] = {}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Enter the trial."""
        self._of(trial).on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Any) -> str:
        """Whether it goes on."""
        return str(self._of(trial).on_trial_result(tune_controller, trial, result))

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: Any) -> None:
        """Note its end."""
        self._of(trial).on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """Forget it."""
        self._of(trial).on_trial_remove(tune_controller, trial)

    def _of(self, trial: Any) -> Any:
        interval = int(trial.config["keyframe_interval"])
        if interval not in self._fields:
            self._fields[interval] = ASHAScheduler(
                time_attr="frames",
                metric="score",
                mode="max",
                max_t=self._most,
                grace_period=self._grace,
                reduction_factor=_REDUCTION,
                stop_last_trials=False,
            )
        return self._fields[interval]
