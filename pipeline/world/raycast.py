"""First hits of all rays of one frame, each primitive tried only inside its projected box.

Rays lie on a grid of two samples per pixel and direction: the even ones are the pixel centres that
carry labels, the others smooth the edges of the image. P primitives, R C rows and columns of rays.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.world.camera import Camera, ray_directions, to_camera, to_pixels
from pipeline.world.noise import value_noise
from pipeline.world.scene import Floats, Kind, Solids

SKY = -1
GROUND = -2
NEAR = 0.15
"""Nothing nearer than this is seen, in metres."""
GROUND_LIMIT = 2000.0
"""The ground ends here, in metres of depth; beyond it is sky."""

_SIGNS = np.array([[x, y, z] for x in (-1, 1) for y in (0, 1) for z in (-1, 1)], np.float32)
_EDGES = np.array([(a, b) for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count("1") == 1])


@dataclass(frozen=True)
class Hits:
    """What each ray of a frame meets first."""

    ids: NDArray[np.int16]
    """(R, C): index of the primitive, or GROUND, or SKY."""
    depths: Floats
    """(R, C): z-depth in metres; infinite in the sky."""
    rays: Floats
    """(3, R, C): world directions per metre of depth."""


def cast(solids: Solids, camera: Camera, frame: int, samples: int = 2) -> Hits:
    """Find the first hit of every ray of a frame; `samples` rays per pixel and direction."""
    rays = ray_directions(camera, frame, 1.0 / samples)
    origin = camera.positions[frame]
    depths, ids = _ground(rays, float(origin[1]))
    boxes, nearest = _projected_boxes(solids, camera, frame, samples)
    order = np.argsort(nearest, kind="stable")
    for p in order[nearest[order] < np.inf]:
        r0, r1, c0, c1 = boxes[p]
        if r1 <= r0 or c1 <= c0:
            continue
        window = (slice(r0, r1), slice(c0, c1))
        if depths[window].max() <= nearest[p]:
            continue
        local = _to_local(origin, solids.centers[frame, p], float(solids.yaws[frame, p]))
        directions = _turn(rays[:, r0:r1, c0:c1], float(solids.yaws[frame, p]))
        hit = _INTERSECT[int(solids.kinds[p])](
            local, directions, solids.sizes[p].tolist(), solids.tapers[p].tolist()
        )
        if solids.frays[p] > 0:
            _fray(hit, local, directions, solids.sizes[p].tolist(), float(solids.frays[p]))
        closer = hit < depths[window]
        np.copyto(depths[window], hit, where=closer)
        np.copyto(ids[window], np.int16(p), where=closer)
    return Hits(ids=ids, depths=depths, rays=rays)


def _ground(rays: Floats, height: float) -> tuple[Floats, NDArray[np.int16]]:
    with np.errstate(divide="ignore"):
        depths = np.float32(-height) / rays[1]
    seen = (depths > NEAR) & (depths < GROUND_LIMIT)
    ids = np.where(seen, np.int16(GROUND), np.int16(SKY))
    return np.where(seen, depths, np.float32(np.inf)), ids


def _projected_boxes(
    solids: Solids, camera: Camera, frame: int, samples: int
) -> tuple[NDArray[np.int64], Floats]:
    """Sample rectangles (row, row end, column, column end) and nearest depth of every primitive."""
    corners = to_camera(corners_of(solids, frame), camera, frame)
    z = corners[..., 2]
    a, b = corners[:, _EDGES[:, 0]], corners[:, _EDGES[:, 1]]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (NEAR - a[..., 2]) / (b[..., 2] - a[..., 2])
    crossing = (a[..., 2] < NEAR) != (b[..., 2] < NEAR)
    cut = a + np.where(crossing, share, 0)[..., None] * (b - a)
    points = np.concatenate([corners, cut], axis=1)
    inside = np.concatenate([z >= NEAR, crossing], axis=1)
    points[..., 2] = np.maximum(points[..., 2], NEAR * 0.999)
    pixels = to_pixels(points, camera) * samples
    low = np.where(inside[..., None], pixels, np.inf).min(axis=1)
    high = np.where(inside[..., None], pixels, -np.inf).max(axis=1)
    limit = np.array([camera.width, camera.height]) * samples
    low = np.clip(np.floor(low), 0, limit)
    high = np.clip(np.ceil(high) + 1, 0, limit)
    nearest = np.where(inside.any(axis=1), np.maximum(z.min(axis=1), NEAR), np.inf)
    boxes = np.stack([low[:, 1], high[:, 1], low[:, 0], high[:, 0]], -1).astype(np.int64)
    return boxes, nearest.astype(np.float32)


def corners_of(solids: Solids, frame: int) -> Floats:
    """World corners of the boxes around all primitives, (P, 8, 3)."""
    half = solids.sizes.copy()
    round_ = solids.kinds == Kind.CYLINDER
    half[round_, 2] = half[round_, 0]
    local = _SIGNS[None] * half[:, None, :]
    balls = solids.kinds == Kind.ELLIPSOID
    local[balls, :, 1] = local[balls, :, 1] * 2 - half[balls, None, 1]
    cos, sin = np.cos(solids.yaws[frame])[:, None], np.sin(solids.yaws[frame])[:, None]
    x = local[..., 0] * cos + local[..., 2] * sin
    z = local[..., 2] * cos - local[..., 0] * sin
    return np.stack([x, local[..., 1], z], -1) + solids.centers[frame][:, None, :]


def _to_local(point: Floats, center: Floats, yaw: float) -> list[float]:
    x, y, z = (point - center).tolist()
    cos, sin = float(np.cos(yaw)), float(np.sin(yaw))
    return [x * cos - z * sin, y, x * sin + z * cos]


def _turn(rays: Floats, yaw: float) -> tuple[Floats, Floats, Floats]:
    cos, sin = np.float32(np.cos(yaw)), np.float32(np.sin(yaw))
    x, y, z = rays
    return x * cos - z * sin, y, x * sin + z * cos


def _box(
    origin: list[float],
    directions: tuple[Floats, Floats, Floats],
    size: list[float],
    taper: list[float],
) -> Floats:
    """Depth of the first hit of a box or a tapered box, infinite where it is missed."""
    dx, dy, dz = directions
    with np.errstate(divide="ignore", invalid="ignore"):
        near, far = _slab(origin[1] - size[1] / 2, dy, size[1] / 2)
        for axis, d, narrowing in ((0, dx, taper[0]), (2, dz, taper[1])):
            if narrowing:
                low, high = _wedge(origin[axis], d, origin[1], dy, size[axis], narrowing)
            else:
                low, high = _slab(origin[axis], d, size[axis])
            np.maximum(near, low, out=near)
            np.minimum(far, high, out=far)
    near[~((near < far) & (near > NEAR))] = np.inf
    return near


def _slab(origin: float, d: Floats, half: float) -> tuple[Floats, Floats]:
    inverse = np.float32(1) / d
    middle = inverse * np.float32(-origin)
    reach = np.abs(inverse) * np.float32(half)
    return middle - reach, middle + reach


def _wedge(
    origin: float, d: Floats, height: float, dy: Floats, half: float, narrowing: float
) -> tuple[Floats, Floats]:
    """Entry and exit of the space between two planes that lean together going up."""
    rise = np.float32(narrowing) * dy
    room = half - narrowing * height
    near, far = None, None
    for sign in (1.0, -1.0):
        speed = np.float32(sign) * d + rise
        t = np.float32(room - sign * origin) / speed
        low = np.where(speed < 0, t, np.float32(-np.inf))
        high = np.where(speed > 0, t, np.float32(np.inf))
        near = low if near is None else np.maximum(near, low)
        far = high if far is None else np.minimum(far, high)
    return near, far


def _cylinder(
    origin: list[float],
    directions: tuple[Floats, Floats, Floats],
    size: list[float],
    _taper: list[float],
) -> Floats:
    """Depth of the first hit of an upright tube without lids."""
    dx, dy, dz = directions
    ox, oy, oz = origin
    a = dx * dx + dz * dz
    b = dx * np.float32(ox) + dz * np.float32(oz)
    disc = b * b - a * np.float32(ox * ox + oz * oz - size[0] ** 2)
    with np.errstate(invalid="ignore"):
        t = (-b - np.sqrt(disc)) / a
        y = t * dy + np.float32(oy)
        t[~((y >= 0) & (y <= size[1]) & (t > NEAR))] = np.inf
    return t


def _ellipsoid(
    origin: list[float],
    directions: tuple[Floats, Floats, Floats],
    size: list[float],
    _taper: list[float],
) -> Floats:
    scaled = [d * np.float32(1 / s) for d, s in zip(directions, size, strict=True)]
    ox, oy, oz = (o / s for o, s in zip(origin, size, strict=True))
    a = scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2
    b = scaled[0] * np.float32(ox) + scaled[1] * np.float32(oy) + scaled[2] * np.float32(oz)
    disc = b * b - a * np.float32(ox * ox + oy * oy + oz * oz - 1)
    with np.errstate(invalid="ignore"):
        t = (-b - np.sqrt(disc)) / a
        t[~(t > NEAR)] = np.inf
    return t


def _fray(
    hit: Floats,
    origin: list[float],
    directions: tuple[Floats, Floats, Floats],
    size: list[float],
    depth: float,
) -> None:
    """Let rays pass through the rim of an ellipsoid, in tufts that stay in place on it."""
    reached = np.isfinite(hit)
    t = hit[reached]
    place = [np.float32(o) + t * d[reached] for o, d in zip(origin, directions, strict=True)]
    normal = [c / np.float32(s) for c, s in zip(place, size, strict=True)]
    scaled = [d[reached] / np.float32(s) for d, s in zip(directions, size, strict=True)]
    along = normal[0] * scaled[0] + normal[1] * scaled[1] + normal[2] * scaled[2]
    square = scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2
    facing = along * along / square
    cells = np.float32(4.5)
    u = (place[0] + np.float32(0.8) * place[2]) * cells + np.float32(size[0] * 91)
    tuft = value_noise(u, (place[1] - np.float32(0.5) * place[2]) * cells, np.float32(0))
    hit[reached] = np.where(facing < depth * (0.5 + 0.5 * tuft), np.float32(np.inf), t)


_INTERSECT = {int(Kind.BOX): _box, int(Kind.CYLINDER): _cylinder, int(Kind.ELLIPSOID): _ellipsoid}
