"""The trials of a sweep: their grid, what one trial trains, what it tells Tune.

A trial trains in its own process, not in a Ray Train run of its own: that would cost 13 to 15 s for
each trial, and wait for ever on two CPUs, because the trial holds the CPU that its worker needs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mila.config import Params
from mila.tasks import TASKS

_LEASE_WAIT_S = 60.0


@dataclass(frozen=True)
class Trial:
    """One point of the grid.

    Attributes:
        keyframe_interval: K at which it is scored; offsets below K are trained.
        radius: Of the attention window, feature pixels.
        seed: Of order and augmentation.
    """

    keyframe_interval: int
    radius: int
    seed: int

    @property
    def name(self) -> str:
        """The same in every attempt."""
        return f"k{self.keyframe_interval}-r{self.radius}-s{self.seed}"


def grid(params: Params) -> list[Trial]:
    """All trials of a sweep, in order.

    Raises:
        ValueError: For values that no trial can have.
    """
    sweep = params.sweep
    lists = {
        "keyframe_intervals": (sweep.keyframe_intervals, 1),
        "radii": (sweep.radii, 0),
        "seeds": (sweep.seeds, 0),
    }
    for name, (values, least) in lists.items():
        if not values or min(values) < least or len(set(values)) != len(values):
            raise ValueError(
                f"sweep.{name}={list(values)}: expected different whole numbers from {least} on"
            )
    points = itertools.product(sweep.keyframe_intervals, sweep.radii, sweep.seeds)
    return [Trial(*point) for point in points]


def trial_params(params: Params, trial: Trial) -> Params:
    """Settings of a trial: the joint stage alone, from the encoders of train.start_from."""
    train = params.train
    stages = {
        name: getattr(train, name).model_copy(update={"updates": updates})
        for name, updates in (("slow", 0), ("fast", 0), ("joint", params.sweep.updates))
    }
    changes = {
        **stages,
        "seed": trial.seed,
        "max_offset": max(1, trial.keyframe_interval - 1),
        "report_every": math.ceil(params.sweep.grace * params.sweep.updates),
    }
    propagation = params.model.propagation.model_copy(update={"radius": trial.radius})
    return params.model_copy(
        update={
            "train": train.model_copy(update=changes),
            "model": params.model.model_copy(update={"propagation": propagation}),
            "evaluation": params.evaluation.model_copy(
                update={"keyframe_interval": trial.keyframe_interval}
            ),
        }
    )


def frames_per_update(params: Params) -> int:
    """Frames that the joint stage processes in one update: keyframes and the walks after them."""
    return (1 + params.joint_walk) * params.train.joint.batch_size


def score_of(params: Params, metrics: Mapping[str, float]) -> float:
    """What trials compete by, higher is better: the main metric of the first task."""
    task = TASKS[params.model.tasks[0]]
    value = metrics[f"val/{task.name}/{task.metric}"]
    return value if task.higher_is_better else -value


def trainable(url: str, params: Params, fingerprint: str, gmac: Mapping[str, float]) -> Any:
    """The function that Tune calls for every trial, in the trial's process.

    Args:
        url: Of the sweep's storage.
        params: Settings of the sweep, every path absolute.
        fingerprint: Of the sweep's identity.
        gmac: Name of a trial -> GMAC of a mean frame.
    """
    plain = params.model_dump(mode="json")

    def run(config: dict[str, Any]) -> None:
        from flows.trials import train_trial

        trial = Trial(**config)
        identity = f"{fingerprint}/{trial.name}"
        settings = trial_params(Params.model_validate(plain), trial)
        train_trial(f"{url}/trials/{trial.name}", settings, identity, gmac[trial.name])

    return run


def train_trial(url: str, params: Params, identity: str, gmac: float) -> None:
    """Train a trial from its last checkpoint on; Tune hears of every report, old ones too."""
    from ray import tune

    from flows.lease import acquire_lease
    from flows.plain_context import PlainContext
    from flows.recorder import Recorder
    from flows.run_storage import RunStorage
    from flows.tracked_run import NullRun
    from mila.training.worker import work

    run = RunStorage(url)
    frames = frames_per_update(params)

    def tell(update: int, metrics: Mapping[str, float]) -> None:
        main = {k: v for k, v in metrics.items() if k.startswith("val/")}
        score = score_of(params, metrics)
        shown = {"updates": update, "frames": update * frames, "score": score}
        tune.report({**main, **shown, "gmac_per_frame": gmac})

    with acquire_lease(run.storage, wait_s=_LEASE_WAIT_S) as lease:
        for record in run.journal.since(0):
            tell(int(record.report["update"]), record.report["metrics"])
        recorder = Recorder(run.storage, NullRun(), attempt=lease.generation)
        context = PlainContext(
            run, recorder, params.cluster, show=lambda report: tell(report.update, report.metrics)
        )
        work(context, params, identity=identity)
        recorder.close(1.0)
