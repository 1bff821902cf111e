"""Pictures of a few scored frames: what every method says, beside the truth.

B = 1 clip, T frames, H W rows and columns of the image, h w of the features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mila.clip import Clip, Predictions, valid_pixels
from mila.metrics import decided
from mila.model import Memory, Mila
from mila.panels import Painter, Panel, Picture, Tile, attended, mark

_POINTS = 4
_APART = 0.22
"""Least distance between marked pixels, share of the image height."""


@dataclass(frozen=True)
class _Example:
    """One frame at a given offset from its keyframe."""

    clip: Clip
    key: int
    now: int
    slow: Predictions
    mila: Predictions
    before: Memory

    def image(self, frame: int) -> Picture:
        """A frame as a picture."""
        return np.ascontiguousarray(self.clip.images[0, frame].permute(1, 2, 0).cpu().numpy())


def example_panels(model: Mila, clip: Clip, painter: Painter, *, offset: int) -> list[Panel]:
    """One panel per task, and one of the attention where there is one.

    The frame is the clip's last labelled one; its keyframe lies `offset` frames before it, or at
    the clip's start.

    Args:
        model: In evaluation mode.
        clip: One clip on the model's device.
        painter: Draws values.
        offset: Age of the keyframe, 1 or more.

    Raises:
        ValueError: If the clip has fewer than two frames.
    """
    example = _predict(model, clip, offset)
    panels = [_task_panel(task, example, painter) for task in model.tasks if task in clip.labels]
    if model.settings.propagation.kind == "ila":
        panels.append(_attention_panel(model, example))
    return panels


def _predict(model: Mila, clip: Clip, offset: int) -> _Example:
    if clip.images.shape[1] < 2:
        raise ValueError(f"clip {clip.keys[0]}: pictures need two frames or more")
    now = _last_labelled(clip)
    key = max(now - offset, 0)
    with torch.no_grad():
        _, memory = model.step(clip.images[:, key], None, True)
        for t in range(key + 1, now + 1):
            before = memory
            flow = None if clip.flow is None else clip.flow[:, t]
            predictions, memory = model.step(clip.images[:, t], memory, False, flow=flow)
        slow = model.slow_predictions(clip.images[:, now])
    return _Example(clip, key, now, decided(slow), decided(predictions), before)


def _last_labelled(clip: Clip) -> int:
    """The last frame with a label, not counting frame 0, which has no keyframe before it."""
    last = clip.images.shape[1] - 1
    has_label = [
        any(_says_something(task, label[0, t]) for task, label in clip.labels.items())
        for t in range(1, last + 1)
    ]
    return max((t for t, has in enumerate(has_label, start=1) if has), default=last)


def _says_something(task: str, label: Tensor) -> bool:
    return bool(valid_pixels(task, label[None]).any())


def _task_panel(task: str, example: _Example, painter: Painter) -> Panel:
    image = example.image(example.now)
    truth = _array(example.clip.labels[task][0, example.now])
    slow, mila = (
        painter.shown({name: _array(value[0]) for name, value in answer.items()})[task]
        for answer in (example.slow, example.mila)
    )
    age = example.now - example.key
    return Panel(
        f"{task}: {example.clip.keys[0]}, frame {example.now}",
        (
            Tile("Image", image),
            Tile("Truth", painter.values(task, truth), "labels"),
            Tile("Slow network on this frame", painter.values(task, slow), "labels"),
            Tile(f"MILA, keyframe {age} frames ago", painter.values(task, mila), "labels"),
            Tile("Error of MILA", _errors(task, example, painter), "labels"),
        ),
    )


def _errors(task: str, example: _Example, painter: Painter) -> Picture:
    """Where MILA misses the truth; its answer as it is, not as it is shown."""
    truth = _array(example.clip.labels[task][0, example.now])
    return painter.errors(task, _array(example.mila[task][0]), truth, example.image(example.now))


def _attention_panel(model: Mila, example: _Example) -> Panel:
    image = example.image(example.now)
    points = _striking_points(image)
    stride = model.settings.feature_stride
    cells = [(row // stride, column // stride) for row, column in points]
    now = example.clip.images[:, example.now]
    weights = model.attention_weights(now, example.before, cells).cpu().numpy()
    age = example.now - example.key
    return Panel(
        f"attention: {example.clip.keys[0]}, frame {example.now}",
        (
            Tile("Marked pixels of the frame", mark(image, points)),
            Tile(
                f"Where they look on the keyframe, {age} frames ago",
                attended(example.image(example.key), weights),
            ),
        ),
    )


def _striking_points(image: Picture) -> list[tuple[int, int]]:
    """A few well-spread corners (row, column): places whose match can be judged by eye."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    distance = _APART * image.shape[0]
    found = cv2.goodFeaturesToTrack(grey, _POINTS, qualityLevel=0.02, minDistance=distance)
    if found is None:  # A picture without any corner: its middle.
        return [(image.shape[0] // 2, image.shape[1] // 2)]
    return [(int(y), int(x)) for x, y in found.reshape(-1, 2)]


def _array(value: Tensor) -> npt.NDArray[Any]:
    return value.cpu().numpy()
