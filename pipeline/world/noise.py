"""Smooth random textures, looked up in a fixed tile."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.world.scene import Floats

_CELLS = 64
_FINE = 8
"""Tile entries per cell of noise: fine enough that the steps do not show."""


@cache
def _tile() -> Floats:
    """A tile of value noise in -1..1 that repeats without a seam, 512 rows of 512 in one line."""
    lattice = np.random.default_rng(20020907).uniform(-1, 1, (_CELLS, _CELLS))
    place = np.arange(_CELLS * _FINE) / _FINE
    low = place.astype(int)
    share = place - low
    share = share * share * (3 - 2 * share)
    high = (low + 1) % _CELLS
    rows = lattice[low] * (1 - share[:, None]) + lattice[high] * share[:, None]
    tile = rows[:, low] * (1 - share) + rows[:, high] * share
    return tile.astype(np.float32).ravel()


def value_noise(u: Floats, v: Floats, footprint: Floats) -> Floats:
    """Noise in -1..1 with one cell per unit.

    Args:
        u: First coordinate.
        v: Second coordinate.
        footprint: Size of a pixel in the same unit: noise finer than a pixel fades to 0.

    Returns:
        One value per point.
    """
    shift, mask = 4096 * _FINE, _CELLS * _FINE - 1
    column = (u * np.float32(_FINE)).astype(np.int32) + shift & mask
    row = (v * np.float32(_FINE)).astype(np.int32) + shift & mask
    fade = np.clip(np.float32(1.4) - footprint, 0, 1)
    return _tile()[row * (_CELLS * _FINE) + column] * fade


def cell_hash(u: NDArray, v: NDArray, salt: NDArray) -> Floats:
    """A random number in 0..1 for every whole-numbered cell."""
    mixed = (u.astype(np.int64) * 73856093) ^ (v.astype(np.int64) * 19349663)
    mixed = (mixed ^ (salt.astype(np.int64) * 83492791)) & 0xFFFFFFFF
    mixed = (mixed ^ (mixed >> 15)) * 2246822519 & 0xFFFFFFFF
    return ((mixed ^ (mixed >> 13)) & 0xFFFF).astype(np.float32) / np.float32(65535)
