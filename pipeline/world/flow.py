"""Exact optical flow to the frame before, moving things included.

A point counts as seen before when the pixel nearest to its old place showed the same surface and
that surface faced the camera. Solids are convex, so no depth tolerance is needed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.world.camera import Camera, to_pixels
from pipeline.world.raycast import GROUND, NEAR, SKY
from pipeline.world.scene import Floats, Solids


@dataclass(frozen=True)
class FlowBuffer:
    """What the pixel centres of one frame saw."""

    ids: NDArray[np.int16]
    """(H, W)."""
    depths: Floats
    """(H, W), infinite in the sky."""
    rays: Floats
    """(3, H, W)."""
    normals: Floats
    """(H, W, 3), world axes."""


def backward_flow(
    solids: Solids, camera: Camera, frame: int, current: FlowBuffer, before: FlowBuffer
) -> Floats:
    """Pixel motion from `frame` to the frame before it, (H, W, 2), NaN where not seen there."""
    ids = current.ids
    rays = np.moveaxis(current.rays, 0, -1)
    is_sky = ids == SKY
    depths = np.where(is_sky, 1, current.depths)[..., None]
    old_eye = camera.positions[frame - 1]
    # The sky is infinitely far: only the camera's turn moves it.
    points = np.where(is_sky[..., None], old_eye + rays, camera.positions[frame] + depths * rays)
    normals = current.normals.copy()
    solid = ids >= 0
    points[solid], normals[solid] = _carry_back(
        solids, frame, ids[solid], points[solid], normals[solid]
    )
    to_point = points - old_eye
    in_camera = to_point @ camera.rotations[frame - 1]
    old = to_pixels(in_camera, camera)
    faces = is_sky | (ids == GROUND) | ((to_point * normals).sum(-1) < 0)
    seen = faces & (in_camera[..., 2] > NEAR) & _same_surface(ids, old, before.ids)
    here = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), -1)
    flow = (old - here).astype(np.float32)
    return np.where(seen[..., None], flow, np.float32(np.nan))


def _carry_back(
    solids: Solids, frame: int, ids: NDArray[np.int16], points: Floats, normals: Floats
) -> tuple[Floats, Floats]:
    """Where points on solids, and their normals, were one frame before."""
    turn = (solids.yaws[frame - 1] - solids.yaws[frame])[ids]
    cos, sin = np.cos(turn), np.sin(turn)
    offset = _turn(points - solids.centers[frame][ids], cos, sin)
    return offset + solids.centers[frame - 1][ids], _turn(normals, cos, sin)


def _turn(vectors: Floats, cos: Floats, sin: Floats) -> Floats:
    x, y, z = vectors[:, 0], vectors[:, 1], vectors[:, 2]
    return np.stack([x * cos + z * sin, y, z * cos - x * sin], -1)


def _same_surface(
    ids: NDArray[np.int16], old: Floats, before: NDArray[np.int16]
) -> NDArray[np.bool_]:
    height, width = before.shape
    with np.errstate(invalid="ignore"):
        place = np.floor(np.nan_to_num(old, nan=-9, posinf=-9, neginf=-9) + 0.5)
    place = np.clip(place, -2, max(height, width) + 2).astype(np.int64)
    column, row = place[..., 0], place[..., 1]
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    flat = np.where(inside, row * width + column, 0)
    return inside & (before.ravel()[flat] == ids)
