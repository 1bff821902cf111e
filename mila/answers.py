"""Answers to a clip of frames as plain arrays: what a served model returns.

T consecutive frames, H rows, W columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mila.keyframes import FixedSchedule
from mila.model import Mila
from mila.streaming import Frame, stream
from mila.tasks import TASKS

Array = np.ndarray[Any, Any]


def answer_clip(model: Mila, frames: Array, keyframe_interval: int) -> dict[str, Array]:
    """Answer frames in their order; the first one is a keyframe.

    Args:
        model: In evaluation mode.
        frames: RGB, uint8, (T, H, W, 3).
        keyframe_interval: Frames from one keyframe to the next.

    Returns:
        Task -> array: classes uint8 ids (T, H, W), depth float32 metres (T, H, W), normals float32
        unit vectors (T, H, W, 3).

    Raises:
        ValueError: If the frames are of another type or shape.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise ValueError(
            f"frames: expected uint8 (T, H, W, 3) with T >= 1, got {frames.dtype} {frames.shape}"
        )
    device = next(model.parameters()).device
    images = (Frame(_image(frame).to(device)) for frame in frames)
    collected: dict[str, list[Array]] = {task: [] for task in model.tasks}
    for answer in stream(model, images, FixedSchedule(keyframe_interval)):
        for task, prediction in answer.predictions.items():
            collected[task].append(_plain(task, prediction))
    return {task: np.stack(arrays) for task, arrays in collected.items()}


def _image(frame: Array) -> Tensor:
    """(H, W, 3) -> (1, 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1).unsqueeze(0)


def _plain(task: str, prediction: Tensor) -> Array:
    """One frame's prediction without the batch dimension."""
    kind = TASKS[task].kind
    if kind == "classes":
        return np.asarray(prediction[0].argmax(dim=0).to(torch.uint8).cpu().numpy())
    if kind == "normals":
        return np.asarray(prediction[0].permute(1, 2, 0).float().cpu().numpy())
    return np.asarray(prediction[0].float().cpu().numpy())
