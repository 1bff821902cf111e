"""Inter-frame local attention as batched products of tiles, with a backward that recomputes.

Each tile of queries meets the halo of keys its windows reach in one dense product, band by band
so that halos and scores stay in cache; pairs outside a window are masked. Nothing of the size of
the windows is kept for the backward pass: it computes scores and weights anew.

B samples, F reference frames, C channels of query and key, V channels of value, H W rows and
columns; N tiles of a band, Q queries of a tile, A keys of a tile's halo.
Source: MILA (arXiv:2002.07362) for the operation; the tiling is this project's own.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mila.attention.tiles import Band, Tiling

# Bytes of halos and scores of one band. CPU: best of 0.5 to 16 MiB on AMD EPYC (Zen 4), one
# thread, torch 2.13, 2026-11. Other devices: as few launches as memory allows.
CPU_BAND_BYTES = 4 * 2**20
DEVICE_BAND_BYTES = 2**28


def attend_tiles(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    radius: int,
    present: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Attend tile by tile; the contract is that of `mila.attention.inter_frame_local_attention`."""
    offsets = reference_offsets(present, bias, query)
    # (B, H, W, C) and (B, F, H, W, C): free for tensors in channels-last memory.
    rows = (query.permute(0, 2, 3, 1), key.permute(0, 1, 3, 4, 2), value.permute(0, 1, 3, 4, 2))
    out: Tensor = _TiledAttention.apply(*rows, offsets, radius)  # type: ignore[no-untyped-call]
    return out.permute(0, 3, 1, 2)


def softmax_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype of scores and weights for features of a dtype: float32 at least."""
    return torch.promote_types(dtype, torch.float32)


def tiling_for(height: int, width: int, radius: int) -> Tiling:
    """Choose tiles: small ones waste less arithmetic, large ones copy less.

    The sizes are the fastest of a sweep on AMD EPYC (Zen 4), one thread, float32, 2026-11.
    """
    reach = min(radius, max(height, width) - 1)
    tall, wide = (4, 4) if reach <= 4 else (4, 8) if reach <= 7 else (8, 8)
    return Tiling(height, width, reach, min(tall, height), min(wide, width))


def reference_offsets(present: Tensor | None, bias: Tensor | None, query: Tensor) -> Tensor | None:
    """Scores added to whole references, (B, F): their bias, -inf where one is missing."""
    if present is None and bias is None:
        return None
    dtype = softmax_dtype(query.dtype)
    offsets = torch.zeros((), dtype=dtype, device=query.device) if bias is None else bias.to(dtype)
    if present is None:
        return offsets.expand(query.shape[0], -1)
    return torch.where(present, offsets, -math.inf)


class _TiledAttention(torch.autograd.Function):
    """The operation on channels-last maps: query (B, H, W, C), key and value (B, F, H, W, ...)."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        offsets: Tensor | None,
        radius: int,
    ) -> Tensor:
        """Give the attended values (B, H, W, V)."""
        with torch.autocast(query.device.type, enabled=False):
            out = _forward(Work(query, key, value, offsets, radius))
        ctx.save_for_backward(query, key, value, offsets, out)
        ctx.radius = radius
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Give the gradients of query, key, value and offsets."""
        query, key, value, offsets, out = ctx.saved_tensors
        with torch.autocast(query.device.type, enabled=False):
            work = Work(query, key, value, offsets, ctx.radius)
            return (*_backward(work, grad, out, ctx.needs_input_grad), None)


class Work:
    """One call's maps, padded to whole tiles, and the bands they are worked on in."""

    def __init__(
        self, query: Tensor, key: Tensor, value: Tensor, offsets: Tensor | None, radius: int
    ) -> None:
        samples, height, width, channels = query.shape
        self.tiling = tiling_for(height, width, radius)
        self.scale = 1 / math.sqrt(channels)
        self.dtype = softmax_dtype(query.dtype)
        self.query = self.tiling.pad(query, 0)
        self.key = self.tiling.pad(key, self.tiling.radius)
        self.value = self.tiling.pad(value, self.tiling.radius)
        self.offsets = offsets
        keys = key.shape[1] * self.tiling.halo
        channels += value.shape[-1] + 2 * self.tiling.queries
        limit = CPU_BAND_BYTES if query.device.type == "cpu" else DEVICE_BAND_BYTES
        self.bands = self.tiling.bands(samples, limit // (keys * channels * query.itemsize))

    def queries(self, band: Band) -> Tensor:
        """Queries of a band with the scale of the scores applied, (N, Q, C)."""
        return self.tiling.cut(self.query, band) * self.scale

    def weights(self, query_NQC: Tensor, key_NAC: Tensor, band: Band) -> Tensor:
        """Weights of a band, (N, Q, F * A): exactly 0 wherever a pair does not count."""
        scores_NQA = torch.bmm(query_NQC, key_NAC.transpose(1, 2)).to(self.dtype)
        mask = self.tiling.mask(band, self.dtype, query_NQC.device)
        by_frame = scores_NQA.view(band.samples, *mask.shape[:2], -1, mask.shape[2])
        by_frame += mask.unsqueeze(2)
        if self.offsets is not None:
            by_frame += self.offsets[band.span][:, None, None, :, None]
        return scores_NQA.softmax(dim=-1)

    def counted(self, band: Band) -> Tensor:
        """Number of keys that count for each query of a band, (samples, N / samples, Q)."""
        seen = self.tiling.mask(band, self.dtype, self.query.device).isfinite().sum(dim=-1)
        if self.offsets is None:
            return seen.expand(band.samples, -1, -1) * self.key.shape[1]
        references = self.offsets[band.span].isfinite().sum(dim=1)
        return references[:, None, None] * seen


def _forward(work: Work) -> Tensor:
    """Give the attended values, (B, H, W, V)."""
    tiling, value = work.tiling, work.value
    out = value.new_empty(value.shape[0], tiling.height, tiling.width, value.shape[-1])
    for band in work.bands:
        weights_NQA = work.weights(work.queries(band), tiling.halos(work.key, band), band)
        values_NAV = tiling.halos(value, band)
        tiling.put(out, torch.bmm(weights_NQA.to(value.dtype), values_NAV), band)
    return out


def _backward(
    work: Work, grad: Tensor, out: Tensor, needed: tuple[bool, ...]
) -> tuple[Tensor | None, ...]:
    """Give the gradients of query, key, value and offsets; None where not needed.

    The weights are computed anew: with one number saved per query, exp(score - log-sum-exp)
    would spare the sums of the softmax, but torch's exp is 3.5 times slower than its softmax on
    scores of -inf (AMD EPYC, Zen 4, torch 2.13, 2026-11).
    """
    tiling = work.tiling
    delta = tiling.pad((grad * out).sum(dim=-1, keepdim=True, dtype=work.dtype), 0)
    grad = tiling.pad(grad, 0)
    sums = _Gradients(work, needed)
    for band in work.bands:
        query_NQC, key_NAC = work.queries(band), tiling.halos(work.key, band)
        weights_NQA = work.weights(query_NQC, key_NAC, band)
        grad_NQV = tiling.cut(grad, band)
        sums.add_value(band, weights_NQA, grad_NQV)
        if sums.only_value:
            continue
        values_NAV = tiling.halos(work.value, band)
        scores_grad = torch.bmm(grad_NQV, values_NAV.transpose(1, 2)).to(work.dtype)
        scores_grad.sub_(tiling.cut(delta, band)).mul_(weights_NQA)
        sums.add_scores(band, scores_grad, query_NQC, key_NAC)
    return sums.result()


class _Gradients:
    """Sums of gradients over bands, in float32 at least; cast and cropped at the end."""

    def __init__(self, work: Work, needed: tuple[bool, ...]) -> None:
        self.work = work
        batch, height, width = work.query.shape[0], work.tiling.height, work.tiling.width
        query, key, value, offsets = needed[:4]
        self.query = (
            work.query.new_empty(batch, height, width, work.query.shape[-1]) if query else None
        )
        self.key = torch.zeros_like(work.key, dtype=work.dtype) if key else None
        self.value = torch.zeros_like(work.value, dtype=work.dtype) if value else None
        self.offsets = (
            torch.zeros_like(work.offsets) if offsets and work.offsets is not None else None
        )
        self.only_value = not (query or key or offsets)

    def add_value(self, band: Band, weights_NQA: Tensor, grad_NQV: Tensor) -> None:
        """Every value receives the gradient of the queries that weigh it."""
        if self.value is not None:
            weights_NAQ = weights_NQA.to(grad_NQV.dtype).transpose(1, 2)
            self.work.tiling.add_halos(self.value, torch.bmm(weights_NAQ, grad_NQV), band)

    def add_scores(
        self, band: Band, scores_grad: Tensor, query_NQC: Tensor, key_NAC: Tensor
    ) -> None:
        """Pass the gradient of the scores on to query, key and offsets."""
        tiling = self.work.tiling
        if self.offsets is not None:
            by_frame = scores_grad.view(band.samples, -1, self.offsets.shape[1], tiling.halo)
            self.offsets[band.span] += by_frame.sum(dim=(1, 3))
        scores_grad = scores_grad.to(query_NQC.dtype)
        if self.query is not None:
            tiling.put(self.query, torch.bmm(scores_grad, key_NAC) * self.work.scale, band)
        if self.key is not None:
            tiling.add_halos(self.key, torch.bmm(scores_grad.transpose(1, 2), query_NQC), band)

    def result(self) -> tuple[Tensor | None, ...]:
        """Give the gradients of query, key, value and offsets."""
        work = self.work
        key = None if self.key is None else work.tiling.crop(self.key).to(work.key.dtype)
        value = None if self.value is None else work.tiling.crop(self.value).to(work.value.dtype)
        return self.query, key, value, self.offsets
