"""Fusion: join propagated keyframe features with the current frame's own.

B images, C feature channels, G hint channels, h w feature rows and columns. Source: method choice
3.4. The last layer starts at zero, so training begins with the propagated keyframe features as the
slow heads know them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mila.config import FusionSettings
from mila.encoders import Features

OFFSET_SCALE = 10.0
"""Offsets enter as offset / OFFSET_SCALE."""


class Fusion(nn.Module):
    """phi of the method, for one task or for all."""

    def __init__(
        self, settings: FusionSettings, *, channels: int, low_channels: int, hint_channels: int
    ) -> None:
        super().__init__()
        self.kind = settings.kind
        self.use_low = settings.low
        self.use_hints = settings.hints
        if settings.kind == "propagated":
            return
        inputs = 2 * channels
        inputs += low_channels if settings.low else 0
        inputs += hint_channels + 1 if settings.hints else 0
        self.first = nn.Conv2d(
            inputs, settings.width, settings.kernel, padding=settings.kernel // 2, bias=False
        )
        self.norm = nn.BatchNorm2d(settings.width)
        self.last = nn.Conv2d(settings.width, channels, 1)
        if settings.kind == "residual":
            nn.init.zeros_(self.last.weight)
            assert self.last.bias is not None
            nn.init.zeros_(self.last.bias)

    def forward(
        self, propagated: Tensor, current: Features, hints: Tensor, offset: Tensor
    ) -> Tensor:
        """Fuse.

        Args:
            propagated: Z, (B, C, h, w).
            current: The fast encoder's features.
            hints: What the propagation tells about itself, (B, G, h, w).
            offset: Frames since the keyframe, (B,).

        Returns:
            Y, (B, C, h, w).
        """
        if self.kind == "propagated":
            return propagated
        size = (propagated.shape[-2], propagated.shape[-1])
        parts = [propagated, current.high.to(propagated.dtype)]
        if self.use_low:
            low = current.low
            if low.shape[-2:] != size:
                low = F.adaptive_avg_pool2d(low, size)
            parts.append(low.to(propagated.dtype))
        if self.use_hints:
            age = (offset.to(propagated.dtype) / OFFSET_SCALE).view(-1, 1, 1, 1)
            parts += [hints.to(propagated.dtype), age.expand(-1, 1, *size)]
        phi: Tensor = self.last(F.relu(self.norm(self.first(torch.cat(parts, dim=1)))))
        return propagated + phi if self.kind == "residual" else phi
