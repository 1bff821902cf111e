"""Inter-frame local attention through FlexAttention: the form for large maps on a GPU.

Positions are ordered tile by tile, so that a block of 64 tokens is a tile of 8 x 8 and a window
touches few blocks; the block mask is written down from which tiles are neighbours. Always
compiled: uncompiled, FlexAttention builds the full matrix of scores. On CPUs it has no backward.

B samples, F reference frames, C channels of query and key, V channels of value, H W rows and
columns. Source: MILA (arXiv:2002.07362) for the operation, FlexAttention (Dong et al., 2024).
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mila.attention.tiled import attend_tiles
from mila.attention.tiles import Band, Tiling

_SIDE = 8
_BLOCK = _SIDE * _SIDE
_MOST_VALUES = 256
_LEAST_CHANNELS = 16
# Fewer positions are answered by tiles before the compiler would be done.
_LEAST_POSITIONS = 2**16
_TOLERANCE = {torch.float32: 5e-3, torch.float16: 2e-2, torch.bfloat16: 5e-2}
_TRIALS = 5


def attend_flex(query: Tensor, key: Tensor, value: Tensor, *, radius: int) -> Tensor:
    """Attend block by block; the contract is that of `inter_frame_local_attention`.

    Every reference has to be present and none has a bias.
    """
    with torch.autocast(query.device.type, enabled=False):
        return _attend(query, key, value, radius)


def flex_serves(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    radius: int,
    present: Tensor | None,
    bias: Tensor | None,
) -> bool:
    """Whether this form is able to answer, agrees with the tiled form and is faster.

    Found out once per size, by trying both on random features.
    """
    able = (
        query.is_cuda
        and present is None
        and bias is None
        and query.dtype == value.dtype
        and query.dtype in _TOLERANCE
        and query.shape[1] >= _LEAST_CHANNELS
        and query.shape[0] * query.shape[2] * query.shape[3] >= _LEAST_POSITIONS
    )
    if not able:
        return False
    return _wins(tuple(key.shape), value.shape[2], radius, query.dtype, query.device)


def _attend(query: Tensor, key: Tensor, value: Tensor, radius: int) -> Tensor:
    samples, channels, height, width = query.shape
    tiling = Tiling(height, width, min(radius, max(height, width) - 1), _SIDE, _SIDE)
    whole = Band(0, samples, 0, tiling.rows)
    frames = key.shape[1]
    mask = _block_mask(tiling, frames, query.device)
    query_tokens = _tokens(query.unsqueeze(1), tiling)
    key_tokens = _tokens(key, tiling)
    parts = []
    # One kernel holds a limited number of value channels; scores are paid again for more.
    for part in torch.split(value, _MOST_VALUES, dim=2):
        value_tokens = _tokens(part, tiling)
        lack = max(0, _LEAST_CHANNELS - part.shape[2])
        out = _compiled()(
            query_tokens,
            key_tokens,
            F.pad(value_tokens, (0, lack)) if lack else value_tokens,
            block_mask=mask,
            scale=1 / math.sqrt(channels),
        )
        parts.append(out[..., : part.shape[2]])
    tokens = torch.cat(parts, dim=-1).view(-1, _BLOCK, value.shape[2])
    result = tokens.new_empty(samples, height, width, value.shape[2])
    tiling.put(result, tokens, whole)
    return result.permute(0, 3, 1, 2)


@lru_cache(maxsize=32)
def _wins(
    key_shape: tuple[int, ...], values: int, radius: int, dtype: torch.dtype, device: torch.device
) -> bool:
    """Try forward and backward of both forms on random features of a size."""
    samples, frames, channels, height, width = key_shape

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, device=device, dtype=dtype, requires_grad=True)

    query = draw(samples, channels, height, width)
    inputs = (query, draw(*key_shape), draw(samples, frames, values, height, width))
    grad = torch.randn(samples, values, height, width, device=device, dtype=dtype)
    with torch.inference_mode(False), torch.enable_grad():
        try:
            found, seconds = _trial(attend_flex, inputs, grad, radius)
        except (RuntimeError, ImportError, NotImplementedError) as error:
            warnings.warn(f"FlexAttention is not usable here, tiles are: {error}", stacklevel=2)
            return False
        expected, tiled_seconds = _trial(attend_tiles, inputs, grad, radius)
    pairs = zip(found, expected, strict=True)
    wrong = max(float((a.float() - b.float()).norm() / b.float().norm()) for a, b in pairs)
    if not wrong <= _TOLERANCE[dtype]:
        warnings.warn(f"FlexAttention is off by {wrong:.2g} here, tiles are used", stacklevel=2)
        return False
    return seconds < tiled_seconds


def _trial(
    form: Callable[..., Tensor], inputs: tuple[Tensor, ...], grad: Tensor, radius: int
) -> tuple[list[Tensor], float]:
    """Result and gradients of a form, and the shortest of a few times in seconds."""
    times = []
    for _ in range(_TRIALS):
        torch.cuda.synchronize()
        start = time.perf_counter()
        out = form(*inputs, radius=radius)
        grads = torch.autograd.grad(out, inputs, grad)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return [out, *grads], min(times)


def _tokens(maps: Tensor, tiling: Tiling) -> Tensor:
    """Order positions tile by tile: (B, F, C, H, W) -> (B, 1, F * positions, C)."""
    samples, frames, channels = maps.shape[:3]
    rows = tiling.pad(maps.permute(0, 1, 3, 4, 2).flatten(0, 1), 0)
    tiles = tiling.cut(rows, Band(0, samples * frames, 0, tiling.rows))
    return tiles.reshape(samples, 1, -1, channels)


@lru_cache(maxsize=1)
def _compiled() -> Callable[..., Tensor]:
    """FlexAttention, compiled anew for every size."""
    from torch.nn.attention.flex_attention import flex_attention

    compiled: Callable[..., Tensor] = torch.compile(flex_attention, dynamic=False)
    return compiled


@lru_cache(maxsize=16)
def _block_mask(tiling: Tiling, frames: int, device: torch.device) -> Any:
    """Which blocks of keys a block of queries meets, and which pairs in them count."""
    from torch.nn.attention.flex_attention import BlockMask

    rows, columns = tiling.rows, tiling.columns
    positions = rows * columns * _BLOCK

    def place(token: Tensor) -> tuple[Tensor, Tensor]:
        tile, inner = token % positions // _BLOCK, token % _BLOCK
        return tile // columns * _SIDE + inner // _SIDE, tile % columns * _SIDE + inner % _SIDE

    def counts(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        del batch, head
        query_y, query_x = place(query)
        key_y, key_x = place(key)
        near = ((query_y - key_y).abs() <= tiling.radius) & (
            (query_x - key_x).abs() <= tiling.radius
        )
        inside = (key_y < tiling.height) & (key_x < tiling.width)
        # Queries beyond the map see themselves: no row of the softmax is empty.
        return (near & inside) | (query == key)

    reach = -(-tiling.radius // _SIDE)
    tile = torch.arange(rows * columns, device=device)
    far_y = (tile[:, None] // columns - tile // columns).abs()
    far_x = (tile[:, None] % columns - tile % columns).abs()
    meets = ((far_y <= reach) & (far_x <= reach)).repeat(1, frames)
    with torch.inference_mode(False):
        return BlockMask.from_kv_blocks(
            meets.sum(dim=1, dtype=torch.int32)[None, None],
            meets.int().argsort(dim=1, descending=True, stable=True).int()[None, None],
            BLOCK_SIZE=_BLOCK,
            mask_mod=counts,
            seq_lengths=(positions, frames * positions),
        )
