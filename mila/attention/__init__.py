"""Inter-frame local attention: one public operation over several equal forms.

B samples, F reference frames, C channels of query and key, V channels of value, H W rows and
columns. Source: MILA (arXiv:2002.07362); the border rule and the scale are this project's choice.
"""

import torch
from torch import Tensor

from mila.attention.flex import attend_flex, flex_serves
from mila.attention.statistics import AttentionStatistics, attention_statistics
from mila.attention.tiled import attend_tiles

__all__ = [
    "AttentionStatistics",
    "attention_statistics",
    "count_pairs",
    "inter_frame_local_attention",
]


def inter_frame_local_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    radius: int,
    present: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Gather values of the reference frames around every position of the current frame.

    One softmax runs over the windows of all references together, on scores divided by the
    square root of C. Positions outside the map and references that are not present leave the
    softmax: their weight is exactly 0 and the rest sums to 1. The softmax is computed in float32
    (float64 for float64 inputs) whatever the dtype of the features, under autocast too.

    Args:
        query: Features of the current frame, (B, C, H, W), any memory format.
        key: Features of the reference frames, (B, F, C, H, W), in the dtype of `query`.
        value: Features to carry over, (B, F, V, H, W).
        radius: Reach of the window, in feature pixels; 0 looks straight through.
        present: Which references exist for which sample, bool (B, F); every sample needs one.
            None means all of them.
        bias: Score added to every position of a reference, (F,); None means none.

    Returns:
        The attended values, (B, V, H, W) in the dtype of `value`, channels last in memory.

    Raises:
        ValueError: If shapes or dtypes do not fit together.
    """
    _check(query, key, value, radius=radius, present=present, bias=bias)
    if flex_serves(query, key, value, radius=radius, present=present, bias=bias):
        return attend_flex(query, key, value, radius=radius)
    return attend_tiles(query, key, value, radius=radius, present=present, bias=bias)


def count_pairs(height: int, width: int, radius: int) -> int:
    """Count the pairs of a query and a key inside the map, for one sample and one reference.

    Attention takes C + V multiply-adds for each of them.
    """
    return _pairs(height, radius) * _pairs(width, radius)


def _pairs(size: int, radius: int) -> int:
    """Pairs along one axis."""
    return sum(min(size - 1, i + radius) - max(0, i - radius) + 1 for i in range(size))


def _check(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    radius: int,
    present: Tensor | None,
    bias: Tensor | None,
) -> None:
    """Refuse what no form of the operation could answer."""
    if radius < 0:
        raise ValueError(f"radius must be 0 or more, got {radius}")
    if query.dim() != 4 or key.dim() != 5 or value.dim() != 5:
        raise ValueError(
            "query (B, C, H, W), key (B, F, C, H, W) and value (B, F, V, H, W) expected, got "
            f"{tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}"
        )
    batch, channels, height, width = query.shape
    frames = key.shape[1]
    if key.shape != (batch, frames, channels, height, width):
        raise ValueError(f"key {tuple(key.shape)} must match query {tuple(query.shape)}")
    if value.shape[:2] != key.shape[:2] or value.shape[3:] != key.shape[3:]:
        raise ValueError(f"value {tuple(value.shape)} must match key {tuple(key.shape)}")
    if query.dtype != key.dtype or not query.is_floating_point():
        raise ValueError(f"query {query.dtype} and key {key.dtype} must be one floating dtype")
    if present is not None and (present.shape != (batch, frames) or present.dtype != torch.bool):
        raise ValueError(f"present must be bool {(batch, frames)}, got {tuple(present.shape)}")
    if bias is not None and bias.shape != (frames,):
        raise ValueError(f"bias must have shape {(frames,)}, got {tuple(bias.shape)}")
