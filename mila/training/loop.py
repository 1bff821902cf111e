"""fit: run the stages update by update and yield a report every so often."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import torch
import torch.distributed as dist

from mila.clip import Clip
from mila.data.plan import Position
from mila.training.context import Report
from mila.training.optim import average_statistics
from mila.training.stages import Stage
from mila.training.state import TrainState
from mila.training.update import Hardware, Players, update_joint, update_per_frame

Validate = Callable[[TrainState, Stage], dict[str, float]]
Series = dict[str, list[float]]


class ClipSource(Protocol):
    """Where training clips come from."""

    def stream(self, stage: Stage, start: Position) -> Iterator[tuple[Clip, Position]]:
        """This rank's batches from a global position on, without end, each with what follows."""


@dataclass
class _Window:
    """What happened since the last report."""

    series: Series = field(default_factory=lambda: defaultdict(list))
    waited: float = 0.0
    clips: int = 0
    started: float = field(default_factory=time.perf_counter)

    def seconds(self) -> float:
        return time.perf_counter() - self.started


class _Clock:
    """Estimate of the time left, from the pace of each stage so far."""

    def __init__(self, stages: tuple[Stage, ...]) -> None:
        self._stages = stages
        self._pace: dict[str, float] = {}

    def saw(self, stage: Stage, seconds: float, updates: int) -> None:
        self._pace[stage.name] = seconds / max(1, updates)

    def left(self, index: int, update: int) -> float:
        """Seconds; stages not yet begun are taken to be as fast as the last one seen."""
        if not self._pace:
            return 0.0
        last = next(reversed(self._pace.values()))
        total = 0.0
        for i, stage in enumerate(self._stages[index:]):
            updates = stage.settings.updates - (update if i == 0 else 0)
            total += updates * self._pace.get(stage.name, last)
        return total


def fit(
    state: TrainState, source: ClipSource, *, hardware: Hardware, validate: Validate
) -> Iterator[Report]:
    """Train from where the state stands to the end.

    The caller saves, logs and stops; a report comes every `train.report_every` updates and at the
    end of each stage. A report's state is complete: restored from it, the run goes on bit for bit.
    """
    clock = _Clock(state.stages)
    if state.optimizer is None:
        state.enter_stage()
    while (stage := state.stage) is not None:
        yield from _run_stage(state, stage, source, hardware, validate, clock)


def _run_stage(
    state: TrainState,
    stage: Stage,
    source: ClipSource,
    hardware: Hardware,
    validate: Validate,
    clock: _Clock,
) -> Iterator[Report]:
    every = state.params.train.report_every
    window = _Window()
    start = Position(state.progress.epoch, state.progress.position)
    batches = source.stream(stage, start)
    while state.progress.update < stage.settings.updates:
        began = time.perf_counter()
        clip, after = next(batches)
        window.waited += time.perf_counter() - began
        for name, value in _update(state, stage, clip.to(hardware.device), hardware).items():
            window.series[name].append(value)
        _advance(state, stage, after)
        window.clips += stage.settings.batch_size
        ended = state.progress.update == stage.settings.updates
        if ended or state.progress.update % every == 0:
            clock.saw(stage, window.seconds(), len(window.series["loss"]))
            window.series = _mean_over_ranks(window.series, hardware)
            report = _report(state, stage, window, validate, clock)
            if ended:
                state.leave_stage()
                state.enter_stage()
            yield report
            if ended:
                return
            window = _Window()


def _update(state: TrainState, stage: Stage, clip: Clip, hardware: Hardware) -> dict[str, float]:
    assert state.optimizer is not None
    assert state.schedule is not None
    taught = stage.name in ("fast", "fast_alone") and state.params.loss.distil > 0
    players = Players(
        task_loss=state.task_loss,
        optimizer=state.optimizer,
        discriminator=state.discriminator if state.second is not None else None,
        second=state.second,
        beta=_beta(state, stage),
        teacher=state.model.slow if taught else None,
        distil=state.params.loss.distil,
        supervised=state.params.train.supervised,
    )
    if stage.is_joint:
        numbers = update_joint(state.model, clip, players, state.params.loss, hardware)
    else:
        net = state.model.slow if stage.name == "slow" else state.model.fast_alone
        numbers = update_per_frame(net, clip, players, hardware)
    average_statistics(state.model, hardware.world_size)
    numbers["learning_rate"] = float(state.schedule.get_last_lr()[0])
    for schedule in (state.schedule, state.second_schedule):
        if schedule is not None:
            schedule.step()
    if state.average is not None:
        state.average.update_parameters(state.model)
    return numbers


def _mean_over_ranks(series: Series, hardware: Hardware) -> Series:
    """What all ranks saw, by one message a report; of one rank its own numbers, to the bit."""
    if hardware.world_size == 1:
        return series
    flat = torch.tensor(list(series.values()), dtype=torch.float64, device=hardware.device)
    dist.all_reduce(flat)
    means: list[list[float]] = (flat / hardware.world_size).tolist()
    return dict(zip(series, means, strict=True))


def _beta(state: TrainState, stage: Stage) -> float:
    loss = state.params.loss
    ramp = loss.ramp * stage.settings.updates
    return loss.beta * min(1.0, state.progress.update / ramp) if ramp > 0 else loss.beta


def _advance(state: TrainState, stage: Stage, after: Position) -> None:
    p = state.progress
    p.update += 1
    p.total_update += 1
    p.epoch, p.position = after.epoch, after.clips
    p.clips += stage.settings.batch_size


def _report(
    state: TrainState, stage: Stage, window: _Window, validate: Validate, clock: _Clock
) -> Report:
    seconds = window.seconds()
    p = state.progress
    means = {name: sum(v) / len(v) for name, v in window.series.items()}
    means.update(validate(state, stage))
    last = p.stage + 1 == len(state.stages) and p.update == stage.settings.updates
    return Report(
        stage=stage.name,
        update=p.update,
        total_update=p.total_update,
        stage_updates=stage.settings.updates,
        metrics=means,
        series=dict(window.series),
        clips_per_second=window.clips / seconds,
        wait_share=window.waited / seconds,
        seconds_left=clock.left(p.stage, p.update),
        last=last,
    )
