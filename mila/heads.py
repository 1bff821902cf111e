"""Heads: features to logits, depth or normals, one per task.

B images, C feature channels, h w feature rows and columns, H W image rows and columns.
Source: MILA leaves the head open; this is method choice 3.4: squeeze-and-excitation (Hu et al.,
2018), one convolution, one classifier, bilinear upsampling with align_corners = False.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mila.config import ModelSettings
from mila.tasks import LABEL_SETS, TASKS, Kind

_REDUCTION = 16


class SqueezeExcite(nn.Module):
    """Weigh channels by what the whole map says: E_tau in the paper's task-specific attention."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // _REDUCTION, 4)
        self.down = nn.Linear(channels, hidden)
        self.up = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same, every channel times a number in 0..1."""
        weight = torch.sigmoid(self.up(F.relu(self.down(x.mean(dim=(2, 3))))))
        return x * weight[:, :, None, None]


class Output(nn.Module):
    """Turn raw channels at image size into what a task predicts."""

    def __init__(self, kind: Kind, *, depth_scale: float, depth_range: tuple[float, float]) -> None:
        super().__init__()
        self.kind = kind
        self.depth_scale = depth_scale
        self.depth_range = depth_range

    def forward(self, raw: Tensor) -> Tensor:
        """Classes: logits as they are; depth: (B, H, W) metres; normals: unit vectors."""
        if self.kind == "classes":
            return raw
        if self.kind == "normals":
            return F.normalize(raw, dim=1)
        # Softplus of the channel is depth_scale / depth, so far things share the small numbers.
        near, far = self.depth_range
        inverse = F.softplus(raw.squeeze(1))
        return self.depth_scale / inverse.clamp(self.depth_scale / far, self.depth_scale / near)


class Head(nn.Module):
    """One task's head; `squeeze` may be left out where its input has passed one already."""

    def __init__(self, task: str, settings: ModelSettings, *, squeeze: bool = True) -> None:
        super().__init__()
        row = TASKS[task]
        channels, hidden = settings.channels, settings.head_channels
        kernel = settings.head_kernel
        self.squeeze: nn.Module = SqueezeExcite(channels) if squeeze else nn.Identity()
        self.body = nn.Sequential(
            nn.Conv2d(channels, hidden, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, row.channels(LABEL_SETS[settings.label_set]), 1),
        )
        self.output = Output(
            row.kind, depth_scale=settings.depth_scale, depth_range=settings.depth_range
        )

    def scores(self, features: Tensor, *, squeezed: bool = False) -> Tensor:
        """Scores before upsampling, (B, channels of the task, h, w).

        Args:
            features: (B, C, h, w).
            squeezed: Whether the features have passed this head's squeeze already.
        """
        scores: Tensor = self.body(features if squeezed else self.squeeze(features))
        return scores

    def finish(self, scores: Tensor, size: tuple[int, int]) -> Tensor:
        """Scores at feature size -> prediction at image size."""
        enlarged = F.interpolate(scores.float(), size=size, mode="bilinear")
        prediction: Tensor = self.output(enlarged)
        return prediction

    def forward(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        """Features (B, C, h, w) -> prediction of size (H, W)."""
        return self.finish(self.scores(features), size)


class Heads(nn.ModuleDict):
    """One head per task, in the order of the tasks."""

    def __init__(self, settings: ModelSettings, *, squeeze: bool = True) -> None:
        super().__init__({t: Head(t, settings, squeeze=squeeze) for t in settings.tasks})

    def of(self, task: str) -> Head:
        """The head of one task."""
        head = self[task]
        assert isinstance(head, Head)
        return head

    def rows(self) -> list[tuple[str, Head]]:
        """Task and head, in order."""
        return [(task, self.of(task)) for task in self]
