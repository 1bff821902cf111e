"""How a map is cut into query tiles, each with the halo of keys that its windows reach.

B samples, F reference frames, C channels, H W rows and columns of the map; N tiles of a band of
tile rows, Q queries of a tile, A keys of a tile's halo. Maps are channels last: (B, H, W, C).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Band:
    """Some samples and some neighbouring rows of tiles, worked on in one go."""

    first_sample: int
    samples: int
    first_row: int
    rows: int

    @property
    def span(self) -> slice:
        """The samples of the band."""
        return slice(self.first_sample, self.first_sample + self.samples)


@dataclass(frozen=True)
class Tiling:
    """A map of `height` x `width` cut into tiles of `tile_height` x `tile_width` queries.

    The last tiles may reach over the lower and right border; what lies there is cut off.
    """

    height: int
    width: int
    radius: int
    tile_height: int
    tile_width: int

    @property
    def rows(self) -> int:
        """Rows of tiles."""
        return -(-self.height // self.tile_height)

    @property
    def columns(self) -> int:
        """Tiles in a row."""
        return -(-self.width // self.tile_width)

    @property
    def queries(self) -> int:
        """Queries of a tile."""
        return self.tile_height * self.tile_width

    @property
    def halo(self) -> int:
        """Keys that the windows of one tile reach, in one reference frame."""
        return (self.tile_height + 2 * self.radius) * (self.tile_width + 2 * self.radius)

    def bands(self, samples: int, tiles: int) -> list[Band]:
        """Cut the work into bands of about `tiles` tiles: whole maps if they fit, else rows."""
        whole = tiles // (self.rows * self.columns)
        if whole:
            starts = range(0, samples, whole)
            return [Band(b, min(whole, samples - b), 0, self.rows) for b in starts]
        step = max(1, tiles // self.columns)
        return [
            Band(b, 1, row, min(step, self.rows - row))
            for b in range(samples)
            for row in range(0, self.rows, step)
        ]

    def pad(self, maps: Tensor, margin: int) -> Tensor:
        """Surround maps by zeros: `margin` on all sides, and up to whole tiles.

        (..., H, W, C) -> (..., rows * tile_height + 2 * margin, likewise for columns, C).
        """
        below = self.rows * self.tile_height - self.height + margin
        right = self.columns * self.tile_width - self.width + margin
        if not (margin or below or right):
            return maps
        return F.pad(maps, (0, 0, margin, right, margin, below))

    def crop(self, maps: Tensor) -> Tensor:
        """Undo `pad` by `radius`: padded maps (..., C) -> (..., H, W, C)."""
        r = self.radius
        return maps[..., r : r + self.height, r : r + self.width, :]

    def cut(self, maps: Tensor, band: Band) -> Tensor:
        """Take the tiles of a band from padded maps, (B, H, W, C) -> (N, Q, C)."""
        top = band.first_row * self.tile_height
        part = maps[band.span, top : top + band.rows * self.tile_height]
        part = part.reshape(
            band.samples, band.rows, self.tile_height, self.columns, self.tile_width, -1
        )
        return part.transpose(2, 3).reshape(-1, self.queries, maps.shape[-1])

    def put(self, maps: Tensor, tiles: Tensor, band: Band) -> None:
        """Write tiles (N, Q, C) back to their place in maps (B, H, W, C) that are not padded."""
        part = tiles.view(
            band.samples, band.rows, self.columns, self.tile_height, self.tile_width, -1
        )
        part = part.transpose(2, 3).flatten(3, 4).flatten(1, 2)
        top = band.first_row * self.tile_height
        rows = min(self.height - top, part.shape[1])
        maps[band.span, top : top + rows] = part[:, :rows, : self.width]

    def halos(self, maps: Tensor, band: Band) -> Tensor:
        """Copy the halos of a band from padded maps, (B, F, H, W, C) -> (N, F * A, C)."""
        tall, wide = self.tile_height + 2 * self.radius, self.tile_width + 2 * self.radius
        part = self._padded_rows(maps, band)
        part = part.unfold(2, tall, self.tile_height).unfold(3, wide, self.tile_width)
        part = part.permute(0, 2, 3, 1, 5, 6, 4)  # sample, row, column, frame, y, x, channel
        return part.reshape(-1, maps.shape[1] * self.halo, maps.shape[-1])

    def add_halos(self, maps: Tensor, halos: Tensor, band: Band) -> None:
        """Add halos (N, F * A, C) to their place in padded maps (B, F, H, W, C).

        Halos overlap. Pieces of at most one tile do not, so each piece of all tiles is one
        addition into a strided view, in a fixed order: the sum repeats bit for bit.
        """
        tall, wide = self.tile_height + 2 * self.radius, self.tile_width + 2 * self.radius
        frames, channels = maps.shape[1], maps.shape[-1]
        parts = halos.view(band.samples, band.rows, self.columns, frames, tall, wide, channels)
        parts = parts.permute(0, 3, 1, 2, 6, 4, 5)
        target = self._padded_rows(maps, band)
        for y in range(0, tall, self.tile_height):
            high = min(self.tile_height, tall - y)
            strip = target[:, :, y : y + (band.rows - 1) * self.tile_height + high]
            strip = strip.unfold(2, high, self.tile_height)
            for x in range(0, wide, self.tile_width):
                broad = min(self.tile_width, wide - x)
                piece = strip[:, :, :, x : x + (self.columns - 1) * self.tile_width + broad]
                piece = piece.unfold(3, broad, self.tile_width)
                piece.add_(parts[..., y : y + high, x : x + broad])

    def mask(self, band: Band, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Scores to add so that a query sees its window inside the map, (N / samples, Q, A).

        0 for a key that counts, -inf for any other. Queries beyond the map see one key, so that
        no row of a softmax is empty.
        """
        top = band.first_row * self.tile_height
        above = min(top, self.radius)
        below = min(self.height - top, band.rows * self.tile_height + self.radius)
        return _mask(self, band.rows, above, below, dtype, device)

    def _padded_rows(self, maps: Tensor, band: Band) -> Tensor:
        top = band.first_row * self.tile_height
        return maps[band.span, :, top : top + band.rows * self.tile_height + 2 * self.radius]


@lru_cache(maxsize=64)
def _mask(
    tiling: Tiling,
    rows: int,
    above: int,
    below: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """Build the mask of a band with `above` map rows over it and `below` from its top down.

    Both count no further than a window reaches: all bands amid a map share one mask.
    """
    seen_y = _seen(tiling.tile_height, rows, tiling.radius, -above, below)
    seen_x = _seen(tiling.tile_width, tiling.columns, tiling.radius, 0, tiling.width)
    seen = seen_y[:, None, :, None, :, None] & seen_x[None, :, None, :, None, :]
    seen = seen.reshape(rows * tiling.columns, tiling.queries, tiling.halo)
    seen[..., 0] |= ~seen.any(dim=-1)
    # Not an inference tensor, whoever asks first: the cache outlives the caller's mode.
    with torch.inference_mode(False):
        mask = torch.zeros(seen.shape, dtype=dtype)
        return mask.masked_fill_(~seen, -math.inf).to(device)


def _seen(size: int, tiles: int, radius: int, low: int, high: int) -> Tensor:
    """Which keys a query sees along one axis, bool (tiles, size, size + 2 * radius).

    A key counts within `radius` of its query and at a coordinate in [low, high), 0 being the
    first query of the first tile.
    """
    query = torch.arange(size)
    key = torch.arange(size + 2 * radius) - radius
    near = (key - query[:, None]).abs() <= radius
    place = torch.arange(tiles)[:, None] * size + key
    inside = (place >= low) & (place < high)
    return near & inside[:, None]
