"""Flow warp: move the keyframe's features along the motion, estimated or exact.

B samples, C feature channels, H W image rows and columns, h w those of the features.
Source: Deep Feature Flow (Zhu et al., 2017): flow from a small network on half-size frames,
bilinear warp, multiplicative scale map of C channels that starts at 1. Departures: the flow layer
starts at 0 instead of trained before, and the warp reads the border beyond the map.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mila.propagation.flow_net import FlowNet, eighth
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
from mila.warping import through, warp

_TAPS = 4


class FlowWarp(Propagation):
    """Z = scale * warp(X_k, flow), flow and scale from a network that sees both images."""

    def __init__(self, sizes: FeatureSizes, *, width: int = 16) -> None:
        super().__init__()
        self.net = FlowNet(width)
        self.scale = nn.Conv2d(self.net.channels, sizes.channels, 1)
        nn.init.zeros_(self.scale.weight)
        assert self.scale.bias is not None
        nn.init.ones_(self.scale.bias)
        self.stride = sizes.feature_stride

    def step(
        self, memory: PropagationMemory, current: FrameFeatures, *, diagnose: bool = False
    ) -> Propagated:
        """Estimate the motion since the keyframe and warp by it."""
        del diagnose
        size = (memory.key.maps[0].shape[-2], memory.key.maps[0].shape[-1])
        motion = self.net(memory.key.image, current.image, size)
        scale = F.interpolate(self.scale(motion.features), size=size, mode="bilinear")
        maps = tuple(warp(m, motion.flow) * scale for m in _distinct(memory.key.maps))
        return Propagated(_for_tasks(maps, memory.key.maps), no_hints(maps[0]))

    def macs(self, height: int, width: int) -> PropagationMacs:
        """Count the network, the scale and four taps per warped element of one map."""
        image = (height * self.stride, width * self.stride)
        frame = self.net.macs(*image) + conv_macs(self.scale, *map(eighth, image))
        frame += (_TAPS + 1) * height * width * self.scale.out_channels
        return PropagationMacs(keyframe=0, frame=frame)


class ExactFlowWarp(Propagation):
    """Z = warp(X_k, exact flow): what perfect motion with bilinear warping gives.

    Where no motion is known (hidden or outside before), the keyframe is read straight through.
    """

    needs_flow = True

    def step(
        self, memory: PropagationMemory, current: FrameFeatures, *, diagnose: bool = False
    ) -> Propagated:
        """Warp by the flow from this frame through all frames advanced to the keyframe."""
        del diagnose
        size = (memory.key.maps[0].shape[-2], memory.key.maps[0].shape[-1])
        flow = _to_features(_through(memory, current), size)
        maps = tuple(warp(m, flow) for m in _distinct(memory.key.maps))
        return Propagated(_for_tasks(maps, memory.key.maps), no_hints(maps[0]))

    def advance(
        self,
        memory: PropagationMemory,
        current: FrameFeatures,
        *,
        propagated: Propagated | None = None,
        fused: tuple[Tensor, ...] = (),
        present: Tensor | None = None,
    ) -> PropagationMemory:
        """Chain the flow, so that the next frame's flow to this one reaches the keyframe."""
        del propagated, fused
        flow = _through(memory, current)
        if present is not None:
            flow = torch.where(present.view(-1, 1, 1, 1), flow, torch.zeros_like(flow))
        return replace(memory, flow=flow)

    def macs(self, height: int, width: int) -> PropagationMacs:
        """Exact motion is given, not computed; a bound has no cost of its own."""
        del height, width
        return PropagationMacs(keyframe=0, frame=0)


def _through(memory: PropagationMemory, current: FrameFeatures) -> Tensor:
    """Flow from the current frame to the keyframe, image pixels; NaN where unknown."""
    if current.flow is None:
        raise ValueError("exact_flow needs clips with flow; these have none")
    if memory.flow is None:
        return current.flow
    return through(memory.flow, current.flow)


def _to_features(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """Mean of the known flow under each feature pixel, in feature pixels; 0 where none is known."""
    known = ~flow.isnan().any(dim=1, keepdim=True)
    total = F.adaptive_avg_pool2d(flow.nan_to_num() * known, size)
    share = F.adaptive_avg_pool2d(known.float(), size)
    ratio = flow.new_tensor([size[1] / flow.shape[-1], size[0] / flow.shape[-2]]).view(1, 2, 1, 1)
    return torch.where(share > 0, total / share.clamp_min(1e-6), 0.0) * ratio


def _distinct(maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """One map where all tasks share it."""
    return maps[:1] if all(m is maps[0] for m in maps) else maps


def _for_tasks(warped: tuple[Tensor, ...], maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Undo `_distinct`: one map per task."""
    return warped if len(warped) == len(maps) else warped * len(maps)
