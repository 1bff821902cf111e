"""Reading maps along a flow, and two flows one after the other.

B samples, C channels, H W rows and columns. A flow points from a pixel to where it was before,
(B, 2, H, W) in pixels of the maps, horizontal part first; NaN where that is not known.
Source: bilinear reading as in spatial transformers (Jaderberg et al., 2015).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_LEAST_SHARE = 1e-3
"""Share of a reading that must lie on unknown pixels to count: below it is rounding."""


def warp(maps: Tensor, flow: Tensor) -> Tensor:
    """Read maps (B, C, h, w) at p + flow, (B, 2, h, w) in pixels of the maps, bilinearly.

    Beyond the map its border is read.
    """
    height, width = maps.shape[-2:]
    dtype = torch.promote_types(maps.dtype, torch.float32)
    rows = torch.arange(height, device=flow.device, dtype=dtype)
    columns = torch.arange(width, device=flow.device, dtype=dtype)
    # grid_sample without aligned corners: pixel i lies at (2 i + 1) / size - 1.
    x = (2 * (columns + flow[:, 0].to(dtype)) + 1) / width - 1
    y = (2 * (rows[:, None] + flow[:, 1].to(dtype)) + 1) / height - 1
    grid = torch.stack([x, y], dim=-1)
    warped = F.grid_sample(maps.to(dtype), grid, padding_mode="border", align_corners=False)
    return warped.to(maps.dtype)


def through(before: Tensor, step: Tensor) -> Tensor:
    """Flow over both: from the frame of `step` by `step`, and on from there by `before`.

    Unknown where either is, `before` at all of the pixels that are read.
    """
    known = step.nan_to_num()
    unknown = before.isnan().any(dim=1, keepdim=True)
    lost = warp(unknown.float(), known) > _LEAST_SHARE
    return (step + warp(before.nan_to_num(), known)).masked_fill(lost, torch.nan)
