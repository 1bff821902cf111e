"""The ground of a street: which point is road, pavement or grass, and what it looks like.

s is the signed distance from the middle of the road, right positive; z runs along it; metres.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.world.noise import value_noise
from pipeline.world.scene import Color, Floats

ROAD, SIDEWALK, TERRAIN = 0, 1, 9
FAR_AWAY = 1e4
"""A z for things that are not there."""


@dataclass(frozen=True)
class Bands:
    """The strips beside the road on one side, from the kerb outwards."""

    edges: tuple[float, float]
    """Where the second and the third strip begin, |s| in metres."""
    labels: tuple[int, int, int]
    """Class of each strip."""


@dataclass(frozen=True)
class Street:
    """Course, cross-section and paint of a road."""

    amplitude: float
    """Sideways swing of the course, metres."""
    wavelength: float
    phase: float
    half_width: float
    """From the middle to the kerb."""
    lanes: tuple[float, ...]
    """S of the middle of each lane on the right; those on the left mirror them."""
    has_parking: bool
    """Whether there is room for a row of parked cars at each kerb."""
    left: Bands
    right: Bands
    crossing_z: float
    """Middle of a side road that crosses; FAR_AWAY for none."""
    crossing_half: float
    zebra_z: float
    """Middle of a zebra crossing; FAR_AWAY for none."""
    lane_lines: tuple[float, ...]
    """Dashed lines at these s."""
    dash: float
    """Length of a dash; gaps are as long."""
    edge_line: bool
    asphalt: Color
    pavement: Color
    grass: Color
    paint: Color
    slab: float
    """Size of pavement slabs; 0 for none."""
    patchiness: float

    @property
    def has_crossing(self) -> bool:
        """Whether a side road crosses."""
        return self.crossing_z < FAR_AWAY

    def center(self, z: Floats | float) -> Floats:
        """X of the middle of the road; 0 at z = 0."""
        turn = 2 * np.pi / self.wavelength
        return self.amplitude * (np.sin(turn * z + self.phase) - np.sin(self.phase))

    def slope(self, z: Floats | float) -> Floats:
        """Change of x per metre of z."""
        turn = 2 * np.pi / self.wavelength
        return self.amplitude * turn * np.cos(turn * z + self.phase)

    def lateral(self, x: Floats, z: Floats) -> Floats:
        """S of a point."""
        return (x - self.center(z)) / np.sqrt(1 + self.slope(z) ** 2)


def ground_labels(street: Street, x: Floats, z: Floats) -> NDArray[np.uint8]:
    """Class of each ground point."""
    s = street.lateral(x, z)
    labels = np.where(s < 0, _strip(street.left, -s), _strip(street.right, s))
    on_road = (np.abs(s) < street.half_width) | (
        np.abs(z - street.crossing_z) < street.crossing_half
    )
    return np.where(on_road, ROAD, labels).astype(np.uint8)


def _strip(bands: Bands, distance: Floats) -> NDArray[np.uint8]:
    index = (distance > bands.edges[0]).astype(np.int8) + (distance > bands.edges[1])
    return np.array(bands.labels, np.uint8)[index]


def ground_colors(
    street: Street,
    x: Floats,
    z: Floats,
    labels: NDArray[np.uint8],
    foot: Floats,
    long_foot: Floats,
) -> Floats:
    """Linear reflectance of ground points, (N, 3).

    Args:
        street: The street.
        x: World x, (N,).
        z: World z, (N,).
        labels: Class of each point, (N,).
        foot: Width of a pixel on the ground in metres, (N,): finer detail fades.
        long_foot: Length of a pixel on the ground, many times its width, (N,).
    """
    s = street.lateral(x, z)
    palette = np.zeros((256, 3), np.float32)
    palette[ROAD], palette[SIDEWALK], palette[TERRAIN] = (
        street.asphalt,
        street.pavement,
        street.grass,
    )
    colors = palette[labels]
    rough = 0.16 * value_noise(x * 2.3, z * 2.3, 2.3 * long_foot)
    rough += 0.14 * value_noise(x * 9.1, z * 9.1, 9.1 * long_foot)
    patches = value_noise(x * 0.22 + 31, z * 0.11, 0.2 * long_foot) * street.patchiness
    is_grass = labels == TERRAIN
    tint = 1 + rough * np.where(is_grass, 2.2, 1.0) + patches
    lines = np.where(
        labels == ROAD,
        _paint(street, s, z, foot, long_foot),
        0,
    )
    joints = np.where(labels == SIDEWALK, _joints(street, s, z, foot, long_foot), 0)
    curb = _line(np.abs(s) - street.half_width - 0.1, 0.1, foot) * (labels == SIDEWALK)
    colors = colors * (tint * (1 - 0.35 * joints) * (1 + 0.25 * curb))[:, None]
    worn = lines * (0.85 + 0.3 * rough)
    return colors + worn[:, None] * (np.array(street.paint, np.float32) - colors)


def _line(offset: Floats, half: float, foot: Floats) -> Floats:
    """Coverage of a line by the width of a pixel, 0..1."""
    foot = np.maximum(foot, 1e-3)
    return np.clip((half - np.abs(offset)) / foot + 0.5, 0, 1) * np.minimum(1, 2 * half / foot)


def _paint(street: Street, s: Floats, z: Floats, foot: Floats, long_foot: Floats) -> Floats:
    lines = np.zeros_like(s)
    phase = np.abs((z / street.dash) % 2 - 1) - 0.5
    dashes = np.clip(phase * street.dash / np.maximum(long_foot, 0.01) + 0.5, 0, 1)
    for place in street.lane_lines:
        lines = np.maximum(lines, _line(s - place, 0.09, foot) * dashes)
    if street.edge_line:
        lines = np.maximum(lines, _line(np.abs(s) - street.half_width + 0.3, 0.08, foot))
    away = np.abs(z - street.crossing_z) > street.crossing_half
    lines = lines * away
    bars = np.clip((np.abs((s % 1.1) - 0.55) - 0.27) / np.maximum(foot, 1e-3) + 0.5, 0, 1)
    zebra = np.clip((1.6 - np.abs(z - street.zebra_z)) / np.maximum(long_foot, 0.01) + 0.5, 0, 1)
    return np.maximum(lines * (zebra < 0.5), zebra * bars)


def _joints(street: Street, s: Floats, z: Floats, foot: Floats, long_foot: Floats) -> Floats:
    if not street.slab:
        return np.zeros_like(s)
    across = np.abs(s / street.slab % 1 - 0.5) * street.slab
    along = np.abs(z / street.slab % 1 - 0.5) * street.slab
    fade = np.clip(1.5 - 3 * long_foot / street.slab, 0, 1)
    return np.maximum(_line(across, 0.025, foot), _line(along, 0.025, long_foot)) * fade
