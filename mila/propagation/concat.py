"""Concatenation without alignment: one 3x3 convolution on keyframe and current features.

Shows what alignment adds. Source: this project's own baseline; it starts as a copy of the
keyframe, like the other kinds.
"""

from __future__ import annotations

import torch
from torch import nn

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


class Concat(Propagation):
    """Z = 3x3 convolution of [X_k; X_t]."""

    def __init__(self, sizes: FeatureSizes) -> None:
        super().__init__()
        self.join = nn.Conv2d(2 * sizes.channels, sizes.channels, 3, padding=1)
        nn.init.dirac_(self.join.weight)  # the first C inputs, X_k, pass unchanged
        assert self.join.bias is not None
        nn.init.zeros_(self.join.bias)
        self.tasks = sizes.tasks

    def step(
        self, memory: PropagationMemory, current: FrameFeatures, *, diagnose: bool = False
    ) -> Propagated:
        """Join keyframe and current features."""
        del diagnose
        joined = self.join(torch.cat([memory.key.maps[0], current.maps[0]], dim=1))
        return Propagated((joined,) * self.tasks, no_hints(joined))

    def macs(self, height: int, width: int) -> PropagationMacs:
        """Count the convolution."""
        return PropagationMacs(keyframe=0, frame=conv_macs(self.join, height, width))
