"""Score fusion: warp the keyframe's scores and join them with those of the fast network.

B samples, n score channels of a task, h w feature rows and columns.
Source: Accel (Jain et al., 2019): Deep Feature Flow on the scores, a 1x1 convolution on both score
maps. Departures: straight from the keyframe instead of from frame to frame, no scale map, and the
convolution starts with the warped scores alone, like the other kinds.
"""

from __future__ import annotations

import torch
from torch import nn

from mila.propagation.flow_net import FlowNet
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
from mila.warping import warp

_TAPS = 4


class ScoreFusion(Propagation):
    """Scores of a task = 1x1 convolution of [warp(scores_k); scores_t]."""

    needs_scores = True

    def __init__(self, sizes: FeatureSizes, *, width: int = 16) -> None:
        super().__init__()
        self.net = FlowNet(width)
        self.join = nn.ModuleList(_joint(n) for n in sizes.score_channels)
        self.score_channels = sum(sizes.score_channels)
        self.stride = sizes.feature_stride

    def step(
        self, memory: PropagationMemory, current: FrameFeatures, *, diagnose: bool = False
    ) -> Propagated:
        """Warp the keyframe's scores to the current frame and join them with its own."""
        del diagnose
        before, now = memory.key.scores, current.scores
        if before is None or now is None:
            raise ValueError("score_fusion needs the scores of keyframe and current frame")
        size = (now[0].shape[-2], now[0].shape[-1])
        flow = self.net(memory.key.image, current.image, size).flow
        scores = tuple(
            conv(torch.cat([warp(k, flow), t], dim=1))
            for conv, k, t in zip(self.join, before, now, strict=True)
        )
        return Propagated(current.maps, no_hints(current.maps[0]), scores=scores)

    def macs(self, height: int, width: int) -> PropagationMacs:
        """Count the network, four taps per warped score and the convolutions."""
        frame = self.net.macs(height * self.stride, width * self.stride)
        frame += sum(conv_macs(conv, height, width) for conv in self.join)
        frame += _TAPS * height * width * self.score_channels
        return PropagationMacs(keyframe=0, frame=frame)


def _joint(channels: int) -> nn.Conv2d:
    """A 1x1 convolution of both score maps that lets the first, the warped one, pass unchanged."""
    conv = nn.Conv2d(2 * channels, channels, 1)
    nn.init.dirac_(conv.weight)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv
