"""Where attention expects a position to have been: a score that falls with the squared distance.

score(p, p') += -s_o(p) |p' - c_o(p)|^2 for a reference o frames back, with c_o(p) = p + o v(p).
`near` expects no motion, v = 0, and learns how s falls with o; `motion` also reads v and a factor
of s off the current frame's features. Written as a product of four more channels of query and key,
so the attention itself does not change.

B samples, C feature channels, h w feature rows and columns. Not in MILA's text: our choice, because
content alone leaves attention so wide that it blurs what copying would keep (docs/LOG.md).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mila.config import PropagationSettings

CHANNELS = 4
"""Channels of query and key for one kind of reference."""

_FIRST_STRENGTH = 0.5
_FIRST_DECAY = 1.0
_LARGEST_FACTOR = 3.0


class MotionPrior(nn.Module):
    """The prior of one attention; distances are in feature pixels, float32 at least."""

    def __init__(self, settings: PropagationSettings, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.log_strength = nn.Parameter(torch.tensor(math.log(_FIRST_STRENGTH)))
        self.decay = nn.Parameter(torch.tensor(_FIRST_DECAY))
        self.motion: nn.Conv2d | None = None
        if settings.prior == "motion":
            self.motion = nn.Conv2d(channels, 3, 1)
            nn.init.zeros_(self.motion.weight)
            assert self.motion.bias is not None
            nn.init.zeros_(self.motion.bias)

    def query(self, features: Tensor, offset: Tensor) -> Tensor:
        """The query's side, (B, 4, h, w).

        Args:
            features: Of the current frame, (B, C, h, w).
            offset: Frames between the reference and the current frame, (B,), 1 or more.
        """
        centre = places(features)
        age = offset.to(centre.dtype).clamp_min(1).view(-1, 1, 1, 1)
        log_strength = self.log_strength - self.decay * age.log()
        if self.motion is not None:
            read = self.motion(features).to(centre.dtype)
            centre = centre + age * read[:, :2]
            log_strength = log_strength + _LARGEST_FACTOR * torch.tanh(read[:, 2:])
        strength = log_strength.exp().expand(-1, 1, *centre.shape[-2:])
        square = centre.square().sum(dim=1, keepdim=True)
        return torch.cat([2 * strength * centre, strength, -strength * square], dim=1)

    def macs(self, height: int, width: int) -> int:
        """Multiply-adds of reading the motion, on the current frame."""
        return 0 if self.motion is None else height * width * self.channels * 3


def places(maps: Tensor) -> Tensor:
    """Row and column, counted from the middle of the map, (B, 2, h, w), float32 at least.

    From the middle, squares stay small and their differences exact.
    """
    batch, _, height, width = maps.shape
    dtype = torch.promote_types(maps.dtype, torch.float32)
    rows = torch.arange(height, device=maps.device, dtype=dtype) - (height - 1) / 2
    columns = torch.arange(width, device=maps.device, dtype=dtype) - (width - 1) / 2
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([y, x], dim=-1).expand(batch, -1, -1, -1).permute(0, 3, 1, 2)


def place_channels(maps: Tensor) -> Tensor:
    """The key's side of every prior, (B, 4, h, w)."""
    place = places(maps)
    square = place.square().sum(dim=1, keepdim=True)
    return torch.cat([place, -square, torch.ones_like(square)], dim=1)
