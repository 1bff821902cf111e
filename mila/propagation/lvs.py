"""Predicted kernels: spatially variant convolution of the keyframe's features.

B samples, C feature channels, L = 2 * radius + 1 side of a kernel, N = L * L places of it, h w
feature rows and columns. Source: Low-Latency Video Semantic Segmentation (Li et al., 2018): a small
network on low-level features of both frames predicts one kernel per position for all channels; an
adaptation of the current low-level features is added. Departures: places outside the map leave the
kernel's softmax; kernels start near a copy and the adaptation at zero, like the other kinds.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mila.propagation.interface import (
    FeatureSizes,
    FrameFeatures,
    Propagated,
    Propagation,
    PropagationMacs,
    PropagationMemory,
    conv_macs,
    no_hints,
)

# At the start the middle of a kernel weighs 5 times as much as all its other places together.
_COPY_ODDS = 5


class PredictedKernels(Propagation):
    """Z(p) = sum over u of kernel(p, u) X_k(p + u), plus adaptation(low-level features of t)."""

    needs_low = True

    def __init__(self, sizes: FeatureSizes, *, radius: int = 4) -> None:
        super().__init__()
        self.radius = radius
        self.tasks = sizes.tasks
        places = (2 * radius + 1) ** 2
        width = sizes.channels
        self.predict = nn.Sequential(
            nn.Conv2d(2 * sizes.low_channels, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            _constant(nn.Conv2d(width, places, 1), _near_copy(places)),
        )
        self.adapt = nn.Sequential(
            nn.Conv2d(sizes.low_channels, width, 3, padding=1),
            nn.ReLU(),
            _constant(nn.Conv2d(width, sizes.channels, 3, padding=1), torch.zeros(sizes.channels)),
        )
        self.channels = sizes.channels

    def step(
        self, memory: PropagationMemory, current: FrameFeatures, *, diagnose: bool = False
    ) -> Propagated:
        """Predict kernels from both frames and gather the keyframe's features with them."""
        del diagnose
        if memory.key.low is None or current.low is None:
            raise ValueError("lvs needs low-level features of keyframe and current frame")
        features = memory.key.maps[0]
        size = (features.shape[-2], features.shape[-1])
        low = F.adaptive_avg_pool2d(current.low, size)
        key_low = F.adaptive_avg_pool2d(memory.key.low, size)
        scores = self.predict(torch.cat([key_low, low], dim=1))
        gathered = gather(features, _weights(scores, self.radius), self.radius)
        maps = gathered + self.adapt(low)
        return Propagated((maps,) * self.tasks, no_hints(maps))

    def macs(self, height: int, width: int) -> PropagationMacs:
        """Count predictor, adaptation and the full kernels, border included."""
        convs = [m for m in (*self.predict, *self.adapt) if isinstance(m, nn.Conv2d)]
        kernels = height * width * (2 * self.radius + 1) ** 2 * self.channels
        frame = kernels + sum(conv_macs(conv, height, width) for conv in convs)
        return PropagationMacs(keyframe=0, frame=frame)


def _near_copy(places: int) -> Tensor:
    """Scores of a kernel that is nearly a copy, (N,)."""
    scores = torch.zeros(places)
    scores[places // 2] = math.log(_COPY_ODDS * max(places - 1, 1))
    return scores


def _constant(conv: nn.Conv2d, output: Tensor) -> nn.Conv2d:
    """Let a convolution start with the same output (channels,) whatever its input."""
    nn.init.zeros_(conv.weight)
    assert conv.bias is not None
    with torch.no_grad():
        conv.bias.copy_(output)
    return conv


def _weights(scores: Tensor, radius: int) -> Tensor:
    """Softmax of scores (B, N, h, w) over the places inside the map, in float32 at least."""
    inside = F.unfold(
        torch.ones(1, 1, *scores.shape[-2:], device=scores.device), 2 * radius + 1, padding=radius
    )
    outside = inside.view(1, *scores.shape[1:]) == 0
    dtype = torch.promote_types(scores.dtype, torch.float32)
    return scores.to(dtype).masked_fill(outside, -math.inf).softmax(dim=1)


def gather(maps: Tensor, weights: Tensor, radius: int) -> Tensor:
    """Sum the neighbours of every position, weighed by its own kernel.

    One place of the kernel after the other: no copy of all windows is ever made.

    Args:
        maps: (B, C, h, w).
        weights: Kernels, row by row from the upper left place, (B, N, h, w); sums are in their
            dtype.
        radius: Reach of the kernels.

    Returns:
        (B, C, h, w) in the dtype of `maps`.
    """
    height, width = maps.shape[-2:]
    padded = F.pad(maps.to(weights.dtype), (radius,) * 4)
    out = torch.zeros_like(maps, dtype=weights.dtype)
    for place, weight in enumerate(weights.unbind(dim=1)):
        y, x = divmod(place, 2 * radius + 1)
        shifted = padded[:, :, y : y + height, x : x + width]
        out = torch.addcmul(out, shifted, weight.unsqueeze(1))
    return out.to(maps.dtype)
