"""Milliseconds per frame: how they are measured, summarised, and on what hardware.

Source: method 8.7; batch 1, warmed up, a fixed number of threads, wall clock.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from mila.keyframes import FixedSchedule
from mila.model import Mila
from mila.streaming import Answer, Frame, stream, timed


@dataclass(frozen=True)
class Spread:
    """Statistics of some durations, milliseconds."""

    count: int
    mean: float
    median: float
    p95: float
    max: float


@dataclass(frozen=True)
class Trace:
    """One frame of a timed stream."""

    milliseconds: float
    keyframe: bool
    offset: int


@dataclass(frozen=True)
class Latency:
    """Durations of the paths, taken in turns on the same frames.

    Attributes:
        slow: The slow network alone, every frame.
        fast: The fast network alone, every frame.
        trace: MILA, frame by frame, in order.
    """

    slow: tuple[float, ...]
    fast: tuple[float, ...]
    trace: tuple[Trace, ...]

    def keyframes(self) -> list[float]:
        """Milliseconds of MILA's keyframes."""
        return [t.milliseconds for t in self.trace if t.keyframe]

    def non_keyframes(self) -> list[float]:
        """Milliseconds of MILA's other frames."""
        return [t.milliseconds for t in self.trace if not t.keyframe]


def spread(milliseconds: Sequence[float]) -> Spread | None:
    """Summarise durations; None if there are none.

    The 95th percentile is the smallest duration that at least 95 % do not exceed.
    """
    if not milliseconds:
        return None
    ranked = sorted(milliseconds)
    count = len(ranked)
    middle = (ranked[(count - 1) // 2] + ranked[count // 2]) / 2
    return Spread(count, sum(ranked) / count, middle, ranked[-(-95 * count // 100) - 1], ranked[-1])


def measure_latency(
    model: Mila, frames: Sequence[Frame], *, interval: int, threads: int
) -> Latency:
    """Time slow, fast and MILA in turns, frame by frame, so that all meet the same machine.

    Args:
        model: In evaluation mode.
        frames: A video, one stream; it starts with a keyframe.
        interval: Keyframe interval.
        threads: Torch threads while measuring.
    """
    with torch_threads(threads):
        warm_up(model, frames[0])
        slow = stream(model, frames, FixedSchedule(1))
        mila = stream(model, frames, FixedSchedule(interval))
        fast = _fast(model, frames)
        rows = list(zip(slow, fast, mila, strict=True))
    return Latency(
        slow=tuple(1000 * row[0].seconds for row in rows),
        fast=tuple(1000 * row[1] for row in rows),
        trace=tuple(traced(row[2]) for row in rows),
    )


def traced(answer: Answer) -> Trace:
    """What stays of an answer in a trace."""
    return Trace(1000 * answer.seconds, answer.keyframe, answer.offset)


def warm_up(model: Mila, frame: Frame, *, rounds: int = 2) -> None:
    """Run every path a few times, so that the first timed frame is like the others."""
    for _ in range(rounds):
        list(stream(model, [frame] * 3, FixedSchedule(3)))
        list(_fast(model, [frame]))


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Set torch's threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def hardware(device: torch.device | str = "cpu") -> dict[str, str | int]:
    """What a duration was measured on; no host names."""
    kind = torch.device(device)
    facts: dict[str, str | int] = {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 0,
        "device": torch.cuda.get_device_name(kind) if kind.type == "cuda" else kind.type,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    return facts


def _fast(model: Mila, frames: Sequence[Frame]) -> Iterator[float]:
    for frame in frames:
        _, seconds = timed(partial(model.fast_predictions, frame.image), frame.image)
        yield seconds


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
