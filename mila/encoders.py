"""Slow and fast encoders: image to features of one shared size.

B images, C feature channels, H W image rows and columns, h w = H/stride, W/stride.
Source of the public trunks: mila/resnet.py. The pyramid is our choice for small images: a residual
trunk down to stride 16 for context, and a top-down path back up for thin objects.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mila.config import EncoderSettings
from mila.necks import Aspp, ConvNeck, upsampled
from mila.resnet import LEAST_CHANNELS, Depth, ResNet
from mila.weights import load_weights

_MEAN = (123.675, 116.28, 103.53)
_STD = (58.395, 57.12, 57.375)
_DEPTHS: dict[str, Depth] = {"resnet18": 18, "resnet34": 34, "resnet50": 50, "resnet101": 101}


@dataclass(frozen=True)
class Features:
    """What an encoder gives.

    Attributes:
        high: (B, C, h, w) at the shared stride.
        low: Early features at stride 4, (B, C_low, H/4, W/4).
    """

    high: Tensor
    low: Tensor


def normalise(image: Tensor) -> Tensor:
    """Make the float input of the networks: uint8 RGB (B, 3, H, W) -> zero mean, unit deviation."""
    mean = torch.tensor(_MEAN, device=image.device).view(1, 3, 1, 1)
    std = torch.tensor(_STD, device=image.device).view(1, 3, 1, 1)
    x = (image.float() - mean) / std
    return x.contiguous(memory_format=torch.channels_last)


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            if inputs < LEAST_CHANNELS:
                raise ValueError(
                    f"a strided shortcut needs >= {LEAST_CHANNELS} input channels, got {inputs}"
                )
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H/stride, W/stride)."""
        out: Tensor = F.relu(self.body(x) + self.shortcut(x))
        return out


def _stage(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    """Halve the size once, then stay."""
    if depth == 0:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
        )
    first = Residual(inputs, outputs, 2)
    return nn.Sequential(first, *(Residual(outputs, outputs, 1) for _ in range(depth - 1)))


class Pyramid(nn.Module):
    """Residual trunk at strides 2, 4, 8, 16 and a top-down path back to the feature stride."""

    def __init__(self, settings: EncoderSettings, *, channels: int, feature_stride: int) -> None:
        super().__init__()
        if len(settings.widths) != 4 or len(settings.depths) != 4:
            raise ValueError(
                "pyramid widths and depths need 4 numbers, for strides 2, 4, 8, 16; got "
                f"{settings.widths} and {settings.depths}"
            )
        widths, depths = settings.widths, settings.depths
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, 2, 1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
            *(Residual(widths[0], widths[0], 1) for _ in range(depths[0])),
        )
        self.stages = nn.ModuleList(
            _stage(widths[i], widths[i + 1], depths[i + 1]) for i in range(3)
        )
        used = [w for w, s in zip(widths[1:], (4, 8, 16), strict=True) if s >= feature_stride]
        self.laterals = nn.ModuleList(nn.Conv2d(w, channels, 1, bias=False) for w in used)
        kernel = 3 if settings.smooth else 1
        self.out = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.low_channels = widths[1]

    def forward(self, x: Tensor) -> Features:
        """Normalised image (B, 3, H, W) -> features; H and W are multiples of 16."""
        x = self.stem(x)
        levels: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        used = levels[len(levels) - len(self.laterals) :]
        laterals = [lateral(level) for lateral, level in zip(self.laterals, used, strict=True)]
        y = laterals[-1]
        for lateral in reversed(laterals[:-1]):
            y = lateral + F.interpolate(y, size=lateral.shape[-2:], mode="bilinear")
        return Features(high=self.out(y), low=levels[0])

    def low(self, x: Tensor) -> Tensor:
        """The low-level features alone."""
        low: Tensor = self.stages[0](self.stem(x))
        return low


class ResNetEncoder(nn.Module):
    """A public ResNet with a neck."""

    def __init__(self, settings: EncoderSettings, *, channels: int, feature_stride: int) -> None:
        super().__init__()
        stride = settings.stride or feature_stride
        if stride % feature_stride:
            raise ValueError(
                f"encoder stride {stride} must be a multiple of model.feature_stride "
                f"{feature_stride}"
            )
        self.trunk = ResNet(_DEPTHS[settings.kind], stride=stride, cut=settings.cut)
        inputs = self.trunk.high_channels
        self.neck: nn.Module = (
            Aspp(inputs, channels, stride=stride)
            if settings.neck == "aspp"
            else ConvNeck(inputs, channels)
        )
        self.enlarge = stride // feature_stride
        self.low_channels = self.trunk.low_channels
        if settings.weights is not None:
            load_weights(self.trunk, settings.weights, ignore=self.trunk.left_out)

    def forward(self, x: Tensor) -> Features:
        """Normalised image (B, 3, H, W) -> features; H and W are multiples of the stride."""
        trunk = self.trunk(x)
        return Features(high=upsampled(self.neck(trunk.high), self.enlarge), low=trunk.low)

    def low(self, x: Tensor) -> Tensor:
        """The low-level features alone."""
        return self.trunk.low(x)


Encoder = Pyramid | ResNetEncoder


def build_encoder(settings: EncoderSettings, *, channels: int, feature_stride: int) -> Encoder:
    """Make the encoder that the settings name."""
    make = Pyramid if settings.kind == "pyramid" else ResNetEncoder
    return make(settings, channels=channels, feature_stride=feature_stride)
