"""Sun, sky, haze and ground shadows.

N shaded points; colours are linear radiances, 1 is a white surface in full light.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.world.noise import value_noise
from pipeline.world.raycast import corners_of
from pipeline.world.scene import Color, Floats, Solids


@dataclass(frozen=True)
class Light:
    """The weather of a clip."""

    sun: tuple[float, float, float]
    """Unit vector towards the sun."""
    sun_color: Color
    ambient: Color
    horizon: Color
    zenith: Color
    cloudiness: float
    """0 clear .. 1 covered."""
    haze: float
    """Share of light lost per metre."""
    cloud_shift: tuple[float, float]


@dataclass(frozen=True)
class Arriving:
    """Shares of the light that are not in shadow, 1 = all."""

    sun: Floats
    """(N,)."""
    sky: Floats
    """(N,)."""


def lit(light: Light, colors: Floats, normals: Floats, arriving: Arriving) -> Floats:
    """Radiance of diffuse surfaces with reflectances and unit normals, each (N, 3)."""
    facing = np.maximum(normals @ np.array(light.sun, np.float32), 0) * arriving.sun
    sky = (np.float32(0.72) + np.float32(0.28) * normals[:, 1]) * arriving.sky
    sun_color = np.array(light.sun_color, np.float32)
    ambient = np.array(light.ambient, np.float32)
    return colors * (facing[:, None] * sun_color + sky[:, None] * ambient)


def through_air(light: Light, radiance: Floats, depth: Floats) -> Floats:
    """Add the haze between camera and surface."""
    clear = np.exp(-depth * np.float32(light.haze))[:, None]
    return radiance * clear + (1 - clear) * np.array(light.horizon, np.float32)


def sky_colors(light: Light, directions: Floats) -> Floats:
    """Radiance of the sky along world directions, (N, 3)."""
    up = directions[:, 1] / np.linalg.norm(directions, axis=1)
    climb = np.sqrt(np.clip(up, 0, 1))[:, None]
    colors = np.array(light.horizon, np.float32) * (1 - climb)
    colors += np.array(light.zenith, np.float32) * climb
    flat = 1 / np.maximum(up, 0.06)
    u = directions[:, 0] * flat + np.float32(light.cloud_shift[0])
    v = directions[:, 2] * flat + np.float32(light.cloud_shift[1])
    small = np.zeros_like(u)
    cover = value_noise(u * 0.7, v * 0.7, small) + 0.5 * value_noise(u * 1.9, v * 1.9, small)
    cover += 0.25 * value_noise(u * 4.3, v * 4.3, small)
    cloud = np.clip((cover + 2.2 * light.cloudiness - 1.1) * 1.1, 0, 1)
    cloud = (cloud * np.clip((up - 0.02) * 6, 0, 1))[:, None]
    white = np.array(light.horizon, np.float32) * np.float32(0.6) + np.float32(0.35)
    return colors + cloud * np.float32(0.75) * (white - colors)


@dataclass(frozen=True)
class ShadowMap:
    """Two grey maps of the ground seen from above: sun and sky, 255 = all of it arrives."""

    sun: NDArray[np.uint8]
    sky: NDArray[np.uint8]
    origin: tuple[float, float]
    """X and z of the first entry."""
    per_metre: float


def empty_shadows(x: float, z: float, *, width: float = 90, length: float = 140) -> ShadowMap:
    """A map around a place, reaching further ahead (+z) than behind."""
    per_metre = 4.0
    shape = (int(length * per_metre), int(width * per_metre))
    return ShadowMap(
        sun=np.full(shape, 255, np.uint8),
        sky=np.full(shape, 255, np.uint8),
        origin=(x - width / 2, z - 25),
        per_metre=per_metre,
    )


def with_shadows(
    shadows: ShadowMap, solids: Solids, frame: int, which: NDArray[np.int64], light: Light
) -> ShadowMap:
    """Add the shadows of primitives `which` at a frame; both maps come out softened."""
    sun, sky = shadows.sun.copy(), shadows.sky.copy()
    corners = corners_of(solids, frame)[which]
    direction = np.array(light.sun, np.float32)
    shift = corners[..., 1:2] / max(float(direction[1]), 0.12) * direction
    cast_xz = (corners - shift)[..., (0, 2)]
    low_xz = corners[..., (0, 2)]
    origin = np.array(shadows.origin, np.float32)
    for fallen, below, bottom in zip(cast_xz, low_xz, corners[..., 1].min(axis=1), strict=True):
        _fill(sun, (fallen - origin) * shadows.per_metre, 0)
        if bottom < 1.0:
            _fill(sky, (below - origin) * shadows.per_metre, 90)
    return ShadowMap(
        sun=cv2.blur(sun, (3, 3)),
        sky=cv2.blur(sky, (5, 5)),
        origin=shadows.origin,
        per_metre=shadows.per_metre,
    )


def _fill(image: NDArray[np.uint8], points: Floats, value: int) -> None:
    hull = cv2.convexHull((points * 16).astype(np.int32)[:, None, :])
    cv2.fillConvexPoly(image, hull, value, lineType=cv2.LINE_8, shift=4)


def look_up(shadows: ShadowMap, x: Floats, z: Floats) -> Arriving:
    """Light that reaches ground points."""
    column = ((x - np.float32(shadows.origin[0])) * np.float32(shadows.per_metre)).astype(np.int32)
    row = ((z - np.float32(shadows.origin[1])) * np.float32(shadows.per_metre)).astype(np.int32)
    rows, columns = shadows.sun.shape
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    place = np.where(inside, row * columns + column, 0)
    scale = np.float32(1 / 255)
    sun = np.where(inside, shadows.sun.ravel()[place] * scale, np.float32(1))
    return Arriving(sun, np.where(inside, shadows.sky.ravel()[place] * scale, np.float32(1)))
