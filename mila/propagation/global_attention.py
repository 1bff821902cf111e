"""Global attention: every position of the keyframe answers, near or far.

B samples, C feature channels, d channels of query and key, h w feature rows and columns.
Source: method choice, section 9: the bound that local attention is held against. Departure: where
the keyframe has more than `MOST_KEYS` positions, its keys and values are averaged over blocks.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mila.config import PropagationSettings
from mila.propagation.interface import (
    FeatureSizes,
    FrameFeatures,
    Propagated,
    Propagation,
    PropagationMacs,
    PropagationMemory,
    Reference,
    no_hints,
)
from mila.propagation.projection import Projection

MOST_KEYS = 2048


class GlobalAttention(Propagation):
    """Z_t(p) = sum over all places s of softmax_s(q(p) . k(s) / sqrt(d)) X_k(s), for all tasks."""

    def __init__(self, settings: PropagationSettings, sizes: FeatureSizes) -> None:
        super().__init__()
        self.projection = Projection(settings, sizes.channels)
        self.tasks = sizes.tasks

    def start(self, key: FrameFeatures) -> PropagationMemory:
        """Project the keyframe once."""
        block = _block(*key.maps[0].shape[-2:])
        keys = F.avg_pool2d(self.projection.key(key.maps[0]), block, ceil_mode=True)
        values = F.avg_pool2d(self.projection.value(key.maps[0]), block, ceil_mode=True)
        return PropagationMemory(key, (Reference((keys,), (values,)),))

    def step(
        self, memory: PropagationMemory, current: FrameFeatures, *, diagnose: bool = False
    ) -> Propagated:
        """Attend the whole keyframe."""
        del diagnose
        query = self.projection.scaled(self.projection.query(current.maps[0]))
        reference = memory.references[0]
        key, value = reference.keys[0].to(query.dtype), reference.values[0].to(query.dtype)
        out = F.scaled_dot_product_attention(_rows(query), _rows(key), _rows(value))
        out = out.transpose(1, 2).reshape(query.shape[0], -1, *query.shape[-2:])
        return Propagated((out,) * self.tasks, no_hints(out))

    def macs(self, height: int, width: int) -> PropagationMacs:
        """Count projections and all pairs."""
        block = _block(height, width)
        keys = -(-height // block) * -(-width // block)
        project = self.projection.macs(height, width)
        pairs = height * width * keys
        channels = self.projection.channels + self.projection.features
        return PropagationMacs(
            keyframe=project + self.projection.value_macs(height, width),
            frame=project + pairs * channels,
        )


def _rows(maps: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, h * w, C)."""
    return maps.flatten(2).transpose(1, 2)


def _block(height: int, width: int) -> int:
    """Side of the blocks that are averaged, so that no more than MOST_KEYS remain."""
    block = 1
    while -(-height // block) * -(-width // block) > MOST_KEYS:
        block += 1
    return block
