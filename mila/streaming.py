"""The one walk over the frames of a stream: keyframe or not, step, time.

B streams that share their keyframes (1 in practice), H W image rows and columns. Predicting and
evaluating use this walk; nothing else decides what a keyframe is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from mila.clip import Clip, Predictions
from mila.keyframes import Schedule
from mila.model import Memory, Mila

Result = TypeVar("Result")

UNCERTAINTY = "entropy"
"""The diagnostic, (B, h, w) in 0..1, by which a propagation says how lost it is."""


@dataclass(frozen=True)
class Frame:
    """One frame of every stream of the batch.

    Attributes:
        image: RGB, uint8, (B, 3, H, W).
        cut: Whether it does not continue the frame before: a gap in time, another scene.
        flow: Exact backward flow to the frame before, (B, 2, H, W); for `exact_flow` only.
    """

    image: Tensor
    cut: bool = False
    flow: Tensor | None = None


def frame_at(clip: Clip, index: int) -> Frame:
    """One frame of every clip of a batch."""
    return Frame(clip.images[:, index], flow=None if clip.flow is None else clip.flow[:, index])


@dataclass(frozen=True)
class Answer:
    """What the model says about one frame.

    Attributes:
        index: Of the frame in the stream.
        keyframe: Whether the slow network answered.
        offset: Frames since the keyframe that answers.
        seconds: Wall time of the model alone, image in to predictions out.
        predictions: At image size.
        uncertainty: How lost the propagation was, 0..1; None where nobody asked. A keyframe that
            has one was answered by both paths.
    """

    index: int
    keyframe: bool
    offset: int
    seconds: float
    predictions: Predictions
    uncertainty: float | None = None


@dataclass(frozen=True)
class _Step:
    """One frame through the model."""

    predictions: Predictions
    memory: Memory
    keyframe: bool
    uncertainty: float | None = None


def stream(
    model: Mila,
    frames: Iterable[Frame],
    schedule: Schedule,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Answer]:
    """Answer frame by frame; no frame waits for, or depends on, a later one.

    Args:
        model: In evaluation mode.
        frames: The stream. Its first frame, a cut and a change of size start anew.
        schedule: When a keyframe is due otherwise.
        clock: Seconds.

    Raises:
        ValueError: If the schedule asks for an uncertainty that the model does not give.
    """
    memory: Memory | None = None
    size: torch.Size | None = None
    offset = 0
    for index, frame in enumerate(frames):
        image = frame.image
        known = None if frame.cut or image.shape != size else memory
        call = partial(_step, model, frame, known, schedule, offset + 1)
        step, seconds = timed(call, image, clock=clock)
        memory, size = step.memory, image.shape
        offset = 0 if step.keyframe else offset + 1
        yield Answer(index, step.keyframe, offset, seconds, step.predictions, step.uncertainty)


def timed(
    call: Callable[[], Result], image: Tensor, *, clock: Callable[[], float] = time.perf_counter
) -> tuple[Result, float]:
    """Call without gradients and give the seconds it took on the image's device."""
    with torch.inference_mode():
        started = _now(image, clock)
        result = call()
        return result, _now(image, clock) - started


def _step(
    model: Mila, frame: Frame, memory: Memory | None, schedule: Schedule, offset: int
) -> _Step:
    """Answer a frame `offset` frames after the last keyframe."""
    uncertainty: float | None = None
    if memory is not None and not schedule.due(offset):
        diagnose = schedule.watches
        predictions, kept = model.step(
            frame.image, memory, False, flow=frame.flow, diagnose=diagnose
        )
        uncertainty = _uncertainty(kept) if diagnose else None
        if uncertainty is None or not schedule.lost(offset, uncertainty):
            return _Step(predictions, kept, keyframe=False, uncertainty=uncertainty)
    return _Step(*model.step(frame.image, None, True), keyframe=True, uncertainty=uncertainty)


def _uncertainty(memory: Memory) -> float:
    if UNCERTAINTY not in memory.diagnostics:
        raise ValueError("an adaptive schedule needs a propagation that tells its uncertainty: ila")
    return float(memory.diagnostics[UNCERTAINTY].mean())


def _now(image: Tensor, clock: Callable[[], float]) -> float:
    if image.is_cuda:
        torch.cuda.synchronize(image.device)
    return clock()
