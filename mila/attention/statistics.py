"""What attention weights tell about themselves: how undecided they are, and whom they look at.

B samples, F reference frames, C channels of query and key, H W rows and columns; N tiles of a
band, Q queries of a tile, A keys of a tile's halo. Source: method choice, keyframe schedules.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mila.attention.tiled import Work, reference_offsets


@dataclass(frozen=True)
class AttentionStatistics:
    """Statistics of the weights of every position.

    Attributes:
        entropy: Entropy divided by its largest possible value, the logarithm of the number of
            keys that count: 0 decided, 1 undecided; 0 where only one key counts. (B, H, W).
        mass: Sum of the weights of each reference, (B, F, H, W).
    """

    entropy: Tensor
    mass: Tensor


@torch.no_grad()
def attention_statistics(
    query: Tensor,
    key: Tensor,
    *,
    radius: int,
    present: Tensor | None = None,
    bias: Tensor | None = None,
) -> AttentionStatistics:
    """Measure the weights that `inter_frame_local_attention` would use; without gradient."""
    offsets = reference_offsets(present, bias, query)
    key = key.permute(0, 1, 3, 4, 2)
    work = Work(query.permute(0, 2, 3, 1), key, key[..., :0], offsets, radius)
    tiling, frames = work.tiling, key.shape[1]
    shape = (key.shape[0], tiling.height, tiling.width, 1 + frames)
    out = query.new_empty(shape, dtype=work.dtype)
    with torch.autocast(query.device.type, enabled=False):
        for band in work.bands:
            weights_NQA = work.weights(work.queries(band), tiling.halos(work.key, band), band)
            by_frame = weights_NQA.unflatten(2, (frames, tiling.halo))  # type: ignore[no-untyped-call]
            entropy_NQ1 = -torch.xlogy(weights_NQA, weights_NQA).sum(dim=-1, keepdim=True)
            largest = work.counted(band).log().view_as(entropy_NQ1)
            entropy_NQ1 = torch.where(largest > 0, entropy_NQ1 / largest, 0.0)
            tiling.put(out, torch.cat([entropy_NQ1, by_frame.sum(dim=-1)], dim=-1), band)
    return AttentionStatistics(entropy=out[..., 0], mass=out[..., 1:].permute(0, 3, 1, 2))
