"""A small network that estimates where each position of a frame was in its keyframe.

B samples, H W image rows and columns, h w those of the features.
Source: Deep Feature Flow (Zhu et al., 2017), with FlowNet-S (Dosovitskiy et al., 2015) on frames of
half size. Departures: four strided convolutions instead of nine layers, bilinear upsampling and
3x3 convolutions instead of transposed ones, and one flow output instead of a pyramid of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mila.propagation.interface import conv_macs

_SLOPE = 0.1


@dataclass(frozen=True)
class Motion:
    """Motion since a keyframe, and what it was read from.

    Attributes:
        flow: Position p of the current frame was at p + flow in the keyframe, in feature pixels,
            channel 0 to the right; (B, 2, h, w).
        features: The network's last features, (B, 2 * width, H/8, W/8).
    """

    flow: Tensor
    features: Tensor


class FlowNet(nn.Module):
    """Two images to flow; it starts with no motion.

    Args:
        width: Channels of the first layer; the deepest has 8 times as many.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        w = width
        self.down = nn.ModuleList(
            [
                nn.Conv2d(6, w, 7, 2, 3),
                nn.Conv2d(w, 2 * w, 5, 2, 2),
                nn.Conv2d(2 * w, 4 * w, 3, 2, 1),
                nn.Conv2d(4 * w, 8 * w, 3, 2, 1),
            ]
        )
        self.up = nn.ModuleList(
            [
                nn.Conv2d(8 * w + 4 * w, 4 * w, 3, padding=1),
                nn.Conv2d(4 * w + 2 * w, 2 * w, 3, padding=1),
            ]
        )
        self.flow = nn.Conv2d(2 * w, 2, 3, padding=1)
        nn.init.zeros_(self.flow.weight)
        assert self.flow.bias is not None
        nn.init.zeros_(self.flow.bias)
        self.channels = 2 * w

    def forward(self, key_image: Tensor, image: Tensor, size: tuple[int, int]) -> Motion:
        """Normalised images (B, 3, H, W) -> flow at feature size (h, w)."""
        x = F.avg_pool2d(torch.cat([key_image, image], dim=1), 2, ceil_mode=True)
        half_height, half_width = x.shape[-2:]
        levels = []
        for conv in self.down:
            x = F.leaky_relu(conv(x), _SLOPE)
            levels.append(x)
        for conv, skip in zip(self.up, (levels[2], levels[1]), strict=True):
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear")
            x = F.leaky_relu(conv(torch.cat([x, skip], dim=1)), _SLOPE)
        flow = F.interpolate(self.flow(x), size=size, mode="bilinear")
        # The network speaks in pixels of its input; features are warped in their own.
        pixels = flow.new_tensor([size[1] / half_width, size[0] / half_height]).view(1, 2, 1, 1)
        return Motion(flow=flow * pixels, features=x)

    def macs(self, image_height: int, image_width: int) -> int:
        """Multiply-adds for images of image_height x image_width."""
        height, width = _half(image_height), _half(image_width)
        sizes, total = [], 0
        for conv in self.down:
            height, width = _half(height), _half(width)
            sizes.append((height, width))
            total += conv_macs(conv, height, width)
        for conv, size in zip(self.up, (sizes[2], sizes[1]), strict=True):
            total += conv_macs(conv, *size)
        return total + conv_macs(self.flow, *sizes[1])


def eighth(size: int) -> int:
    """Rows or columns of the network's last features for an image's."""
    return _half(_half(_half(size)))


def _half(size: int) -> int:
    return -(-size // 2)
