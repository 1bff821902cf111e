"""Typed tensors that travel together: a batch of clips with labels, and what is predicted for it.

B clips, T frames of a clip, H W rows and columns of the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mila.tasks import IGNORE_LABEL, TASKS

Predictions = dict[str, Tensor]
"""Task name -> prediction at image size: classes (B, N, H, W) logits, depth (B, H, W) metres,
normals (B, 3, H, W) unit vectors."""

Labels = dict[str, Tensor]
"""Task name -> labels of frames: classes (B, H, W) int64 with 255 ignored, depth (B, H, W) float32
metres with 0 invalid, normals (B, 3, H, W) float32 with zero vectors ignored."""


@dataclass(frozen=True)
class Clip:
    """A batch of clips.

    Attributes:
        images: RGB, uint8, (B, T, 3, H, W).
        labels: Task name -> labels of every frame, shaped as in `Labels` with T after B. A frame
            without a label is ignored everywhere; a task without labels at all may be absent.
        frames: Index of every frame in its video, int64, (B, T).
        keys: Name of every clip.
        flow: Backward flow in pixels, float32, (B, T, 2, H, W): pixel p of frame t was at p + flow
            in the clip's frame before; NaN where it was hidden or outside. None if it was not asked
            for.
    """

    images: Tensor
    labels: Labels
    frames: Tensor
    keys: tuple[str, ...]
    flow: Tensor | None = None

    def to(self, device: torch.device | str) -> Clip:
        """Copy the tensors to a device."""
        return Clip(
            images=self.images.to(device, non_blocking=True),
            labels={k: v.to(device, non_blocking=True) for k, v in self.labels.items()},
            frames=self.frames,
            keys=self.keys,
            flow=None if self.flow is None else self.flow.to(device, non_blocking=True),
        )

    def labels_at(self, index: int) -> Labels:
        """Labels of one frame of every clip."""
        return {task: label[:, index] for task, label in self.labels.items()}

    def labels_of(self, samples: Tensor, positions: Tensor) -> Labels:
        """Labels of some frames: clips (N,) and their frames (N,)."""
        return {task: label[samples, positions] for task, label in self.labels.items()}


def valid_pixels(task: str, label: Tensor) -> Tensor:
    """Where a label counts, bool, (B, H, W)."""
    kind = TASKS[task].kind
    if kind == "classes":
        return label != IGNORE_LABEL
    if kind == "depth":
        return label > 0
    return label.abs().sum(dim=1) > 0
