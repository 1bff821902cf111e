"""A pinhole camera on a path: poses, rays, projection.

Camera axes: x right, y down, z forward. Pixel centres are whole numbers, (0, 0) top left. A ray
is scaled to one metre of z-depth, so the parameter of a hit is its depth. T frames.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.world.scene import Floats


@dataclass(frozen=True)
class Camera:
    """Intrinsics and one pose per frame."""

    height: int
    width: int
    focal: float
    """Focal length in pixels, both ways."""
    positions: Floats
    """(T, 3), metres in the world."""
    rotations: Floats
    """(T, 3, 3), camera axes to world axes: the columns are right, down and forward."""

    @property
    def intrinsics(self) -> tuple[float, float, float, float]:
        """(fx, fy, cx, cy) in pixels."""
        return (self.focal, self.focal, (self.width - 1) / 2, (self.height - 1) / 2)


def rotations_of(yaws: Floats, pitches: Floats, rolls: Floats) -> Floats:
    """Camera-to-world rotations, (T, 3, 3), from angles in radians; pitch up is positive."""
    cy, sy, cp, sp = np.cos(yaws), np.sin(yaws), np.cos(pitches), np.sin(pitches)
    forward = np.stack([sy * cp, sp, cy * cp], -1)
    right = np.stack([cy, np.zeros_like(cy), -sy], -1)
    down = np.cross(right, forward)
    cr, sr = np.cos(rolls)[:, None], np.sin(rolls)[:, None]
    columns = [cr * right + sr * down, cr * down - sr * right, forward]
    return np.stack(columns, -1).astype(np.float32)


def ray_directions(camera: Camera, frame: int, step: float) -> Floats:
    """World directions of rays at every `step` pixels, (3, rows, columns)."""
    _, _, cx, cy = camera.intrinsics
    u = (np.arange(0, camera.width, step) - cx) / camera.focal
    v = (np.arange(0, camera.height, step) - cy) / camera.focal
    rotation = camera.rotations[frame].astype(np.float64)
    across = rotation[:, 0, None, None] * u[None, None, :]
    downward = rotation[:, 1, None, None] * v[None, :, None]
    return (across + downward + rotation[:, 2, None, None]).astype(np.float32)


def to_camera(points: Floats, camera: Camera, frame: int) -> Floats:
    """World points (..., 3) in camera axes."""
    return (points - camera.positions[frame]) @ camera.rotations[frame]


def to_pixels(points: Floats, camera: Camera) -> Floats:
    """Camera-axes points (..., 3) as (column, row); meaningless where z <= 0."""
    fx, fy, cx, cy = camera.intrinsics
    with np.errstate(divide="ignore", invalid="ignore"):
        u = points[..., 0] * np.float32(fx) / points[..., 2] + np.float32(cx)
        v = points[..., 1] * np.float32(fy) / points[..., 2] + np.float32(cy)
    return np.stack([u, v], -1)
