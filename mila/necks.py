"""Necks: what turns a public trunk's channels into the shared feature channels.

B images, C feature channels, h w feature rows and columns. Source of ASPP: Chen et al., 2017
(DeepLabv3): a 1x1 convolution, three 3x3 ones at rates 6, 12, 18, image pooling, a 1x1 projection.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_RATES = (6, 12, 18)


def _normed(inputs: int, outputs: int, *, rate: int = 0) -> nn.Sequential:
    """Convolution, batch norm, ReLU; rate 0 = a 1x1 kernel, else 3x3 with that dilation."""
    kernel = 3 if rate else 1
    conv = nn.Conv2d(inputs, outputs, kernel, padding=rate, dilation=max(rate, 1), bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class ConvNeck(nn.Sequential):
    """One 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))


class Aspp(nn.Module):
    """Atrous spatial pyramid pooling."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        """Build.

        Args:
            inputs: Channels of the trunk.
            outputs: Shared feature channels.
            stride: Of the trunk; at 8 the rates double, as in the source.
        """
        super().__init__()
        factor = 2 if stride == 8 else 1
        rates = (0, *(factor * rate for rate in _RATES))
        self.branches = nn.ModuleList(_normed(inputs, outputs, rate=rate) for rate in rates)
        self.pool = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.ReLU())
        self.project = nn.Sequential(
            nn.Conv2d(5 * outputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h, w)."""
        pooled = self.pool(x.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *x.shape[-2:])
        joined = torch.cat([*(branch(x) for branch in self.branches), pooled], dim=1)
        out: Tensor = self.project(joined)
        return out


def upsampled(features: Tensor, factor: int) -> Tensor:
    """Enlarge features bilinearly, where a trunk is coarser than the shared stride."""
    if factor == 1:
        return features
    return F.interpolate(features, scale_factor=float(factor), mode="bilinear")
