"""From decoded clips to one batch of tensors.

B clips, T frames, H rows, W columns, V entries of a vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mila.clip import Clip
from mila.data.sample import ClipArrays


@dataclass(frozen=True)
class LoadedClip:
    """One clip of a batch."""

    arrays: ClipArrays
    numbers: tuple[int, ...]
    """Index of each frame in the video, (T,)."""


def collate(samples: Sequence[LoadedClip], tasks: Sequence[str], *, flow: bool) -> Clip:
    """Stack clips.

    Args:
        samples: Clips of equal size and length.
        tasks: Tasks whose labels are wanted.
        flow: Whether optical flow is wanted.

    Returns:
        The batch; what a clip has no label for is ignored everywhere.

    Raises:
        ValueError: If clips differ in size or length.
    """
    clips = [sample.arrays for sample in samples]
    shape = clips[0].semseg.shape
    for clip in clips:
        if clip.semseg.shape != shape:
            raise ValueError(
                f"clips {clips[0].key} and {clip.key} differ in frames or size, {shape} and "
                f"{clip.semseg.shape}: set data.crop, or use batches of one clip"
            )
    return Clip(
        images=_channels_first([clip.images for clip in clips], torch.uint8),
        labels={task: _label_batch(task, clips) for task in tasks},
        frames=torch.tensor([sample.numbers for sample in samples], dtype=torch.int64),
        keys=tuple(clip.key for clip in clips),
        flow=_flow_batch(clips) if flow else None,
    )


def _label_batch(task: str, clips: list[ClipArrays]) -> Tensor:
    """Labels of one task, (B, T, H, W), or (B, T, 3, H, W) for normals."""
    if task == "normals":
        return _vectors([clip.normals for clip in clips], (*clips[0].semseg.shape, 3), 0.0)
    stacked = torch.from_numpy(np.stack([getattr(clip, task) for clip in clips]))
    return stacked.long() if stacked.dtype == torch.uint8 else stacked


def _flow_batch(clips: list[ClipArrays]) -> Tensor:
    return _vectors([clip.flow for clip in clips], (*clips[0].semseg.shape, 2), np.nan)


def _vectors(arrays: list[Any], shape: tuple[int, ...], absent: float) -> Tensor:
    """Per-pixel vectors, (B, T, V, H, W); clips that have none get `absent` everywhere."""
    filled = [np.full(shape, absent, np.float32) if a is None else a for a in arrays]
    return _channels_first(filled, torch.float32)


def _channels_first(arrays: list[Any], dtype: torch.dtype) -> Tensor:
    """Stack (T, H, W, V) arrays as (B, T, V, H, W), one copy."""
    frames, height, width, channels = arrays[0].shape
    out = torch.empty((len(arrays), frames, channels, height, width), dtype=dtype)
    for target, array in zip(out, arrays, strict=True):
        target.copy_(torch.from_numpy(array).permute(0, 3, 1, 2))
    return out
