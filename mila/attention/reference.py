"""Inter-frame local attention by definition: the plain form every faster one is held against.

B samples, F reference frames, C channels of query and key, V channels of value, H W rows and
columns, N positions in the window, (2 * radius + 1) ** 2. Source: MILA (arXiv:2002.07362).
"""

import math

import torch.nn.functional as F
from torch import Tensor


def attend_by_definition(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    radius: int,
    present: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Gather values of the reference frames around every position of the current frame.

    Copies every window in memory: for tests and as the baseline of benchmarks. The contract is
    that of `mila.attention.inter_frame_local_attention`; the softmax runs in the dtype given.
    """
    batch, frames = key.shape[:2]
    logits_BFNHW = (query[:, None, :, None] * _windows(key, radius)).sum(dim=2)
    logits_BFNHW = logits_BFNHW / math.sqrt(query.shape[1])
    if bias is not None:
        logits_BFNHW = logits_BFNHW + bias.view(1, frames, 1, 1, 1)
    keep = _windows(key.new_ones(1, 1, 1, *key.shape[-2:]), radius).squeeze(2) > 0
    if present is not None:
        keep = keep & present.view(batch, frames, 1, 1, 1)
    # -inf, not a large negative number: the weight must be zero in every dtype.
    logits_BFNHW = logits_BFNHW.masked_fill(~keep, -math.inf)
    weights = logits_BFNHW.flatten(1, 2).softmax(dim=1).view_as(logits_BFNHW)
    return (weights.unsqueeze(2) * _windows(value, radius)).sum(dim=(1, 3))


def _windows(maps: Tensor, radius: int) -> Tensor:
    """Stack the neighbours of every position, (B, F, C, H, W) -> (B, F, C, N, H, W)."""
    size = 2 * radius + 1
    b, f, c, h, w = maps.shape
    stacked = F.unfold(maps.flatten(0, 1), size, padding=radius)
    return stacked.view(b, f, c, size * size, h, w)
