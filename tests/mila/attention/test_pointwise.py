"""The weights that are drawn are the weights that are used."""

from __future__ import annotations

import pytest
import torch

from mila.attention import inter_frame_local_attention
from mila.attention.pointwise import attention_at


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("radius", [0, 2, 9])
def test_weights_times_values_is_what_the_operation_gives(frames: int, radius: int) -> None:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(1, 4, 5, 7, generator=generator)
    key = torch.randn(1, frames, 4, 5, 7, generator=generator)
    value = torch.randn(1, frames, 3, 5, 7, generator=generator)
    bias = torch.randn(frames, generator=generator)
    points = [(0, 0), (4, 6), (2, 3)]

    weights = attention_at(query[0], key[0], points, radius=radius, bias=bias)

    whole = inter_frame_local_attention(query, key, value, radius=radius, bias=bias)
    by_hand = torch.einsum("pfhw,fvhw->pv", weights, value[0])
    at_points = torch.stack([whole[0, :, row, column] for row, column in points])
    torch.testing.assert_close(by_hand, at_points)
    torch.testing.assert_close(weights.flatten(1).sum(dim=1), torch.ones(3))
