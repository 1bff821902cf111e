"""From a world to frames: images before the sensor, classes, depth and flow.

T frames, H W pixel rows and columns. Every label belongs to a pixel centre; images average the
rays around it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.world.compose import World
from pipeline.world.flow import FlowBuffer, backward_flow
from pipeline.world.light import (
    Arriving,
    ShadowMap,
    empty_shadows,
    lit,
    look_up,
    sky_colors,
    through_air,
    with_shadows,
)
from pipeline.world.raycast import GROUND, SKY, Hits, cast
from pipeline.world.scene import Floats
from pipeline.world.street import ground_colors, ground_labels
from pipeline.world.surface import clumps, locate, surface_colors

SKY_LABEL = 10
DEPTH_LIMIT = 200.0
"""Depth beyond this many metres is not given."""


@dataclass(frozen=True)
class Frames:
    """A rendered clip."""

    radiance: Floats
    """(T, H, W, 3), linear."""
    semseg: NDArray[np.uint8]
    """(T, H, W), Cityscapes train ids."""
    depth: Floats
    """(T, H, W), metres along the optical axis; 0 where there is none."""
    flow: Floats
    """(T, H, W, 2), pixels; p of frame t was at p + flow in frame t - 1; NaN where it was not
    seen; all NaN in frame 0."""


def render(world: World) -> Frames:
    """Render all frames of a world."""
    camera = world.camera
    frames = len(camera.positions)
    shape = (frames, camera.height, camera.width)
    radiance = np.empty((*shape, 3), np.float32)
    semseg = np.empty(shape, np.uint8)
    depth = np.empty(shape, np.float32)
    flow = np.full((*shape, 2), np.nan, np.float32)
    still, moving = _split_movers(world)
    shadows = empty_shadows(float(camera.positions[0, 0]), float(camera.positions[0, 2]))
    shadows = with_shadows(shadows, world.solids, 0, still, world.light)
    before: FlowBuffer | None = None
    for frame in range(frames):
        hits = cast(world.solids, camera, frame)
        current = with_shadows(shadows, world.solids, frame, moving, world.light)
        shaded = _shade_frame(world, frame, hits, current)
        radiance[frame], semseg[frame] = shaded.radiance, shaded.labels
        centers = hits.depths[::2, ::2]
        depth[frame] = np.where(centers <= DEPTH_LIMIT, centers, 0)
        after = FlowBuffer(hits.ids[::2, ::2], centers, hits.rays[:, ::2, ::2], shaded.normals)
        if before is not None:
            flow[frame] = backward_flow(world.solids, camera, frame, after, before)
        before = after
    return Frames(radiance=radiance, semseg=semseg, depth=depth, flow=flow)


def _split_movers(world: World) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    solids = world.solids
    moves = (np.ptp(solids.centers, axis=0) > 1e-4).any(axis=-1) & solids.casts_shadow
    return np.flatnonzero(solids.casts_shadow & ~moves), np.flatnonzero(moves)


@dataclass(frozen=True)
class _Shaded:
    """What hits look like and are; leading sizes are those of the hits."""

    radiance: Floats
    """(..., 3)."""
    labels: NDArray[np.uint8]
    """(...)."""
    normals: Floats
    """(..., 3), world axes; 0 in the sky."""


@dataclass(frozen=True)
class _View:
    """What shading one frame needs to know."""

    world: World
    frame: int
    shadows: ShadowMap


def _shade_frame(world: World, frame: int, hits: Hits, shadows: ShadowMap) -> _Shaded:
    """Shade the pixel centres, and of the rays between them those that see another surface.

    Inside a surface the colour of the pixel centre will do: detail finer than a pixel has faded.
    """
    view = _View(world, frame, shadows)
    ids, rays = hits.ids, np.moveaxis(hits.rays, 0, -1)
    even = (slice(None, None, 2), slice(None, None, 2))
    shape = ids[even].shape
    centers = _shade(view, ids[even].ravel(), hits.depths[even].ravel(), rays[even].reshape(-1, 3))
    image = centers.radiance.reshape(*shape, 3)
    samples = np.repeat(np.repeat(image, 2, axis=0), 2, axis=1)
    other = ids != np.repeat(np.repeat(ids[even], 2, axis=0), 2, axis=1)
    samples[other] = _shade(view, ids[other], hits.depths[other], rays[other]).radiance
    return _Shaded(
        radiance=_tent(samples),
        labels=centers.labels.reshape(shape),
        normals=centers.normals.reshape(*shape, 3),
    )


def _tent(samples: Floats) -> Floats:
    """Average the rays around every pixel centre with weights 1 2 1, (2H, 2W, 3) -> (H, W, 3)."""
    half, quarter = np.float32(0.5), np.float32(0.25)
    even, odd = samples[:, ::2], samples[:, 1::2]
    left = np.concatenate([odd[:, :1], odd[:, :-1]], axis=1)
    across = half * even + quarter * (odd + left)
    even, odd = across[::2], across[1::2]
    above = np.concatenate([odd[:1], odd[:-1]], axis=0)
    return half * even + quarter * (odd + above)


def _shade(view: _View, ids: NDArray[np.int16], depths: Floats, rays: Floats) -> _Shaded:
    """Shade N hits of any kind."""
    radiance = np.empty((len(ids), 3), np.float32)
    labels = np.full(len(ids), SKY_LABEL, np.uint8)
    normals = np.zeros((len(ids), 3), np.float32)
    sky = ids == SKY
    radiance[sky] = sky_colors(view.world.light, rays[sky])
    origin = view.world.camera.positions[view.frame]
    for picked, shader in ((ids == GROUND, _shade_ground), (ids >= 0, _shade_solids)):
        points = origin + depths[picked, None] * rays[picked]
        shaded = shader(view, ids[picked], depths[picked], points)
        radiance[picked] = through_air(view.world.light, shaded.radiance, depths[picked])
        labels[picked], normals[picked] = shaded.labels, shaded.normals
    return _Shaded(radiance, labels, normals)


def _shade_ground(view: _View, ids: NDArray[np.int16], depths: Floats, points: Floats) -> _Shaded:
    street, x, z = view.world.street, points[:, 0], points[:, 2]
    labels = ground_labels(street, x, z)
    camera = view.world.camera
    foot = depths / np.float32(camera.focal)
    eye_height = camera.positions[view.frame, 1]
    long_foot = foot * np.maximum(depths / eye_height, 1)
    colors = ground_colors(street, x, z, labels, foot, long_foot)
    arriving = look_up(view.shadows, x, z)
    normals = np.tile(np.array([0, 1, 0], np.float32), (len(ids), 1))
    return _Shaded(lit(view.world.light, colors, normals, arriving), labels, normals)


def _shade_solids(view: _View, ids: NDArray[np.int16], depths: Floats, points: Floats) -> _Shaded:
    solids = view.world.solids
    foot = depths / np.float32(view.world.camera.focal)
    surface = locate(solids, view.frame, ids, points)
    colors = surface_colors(solids, surface, foot)
    near_ground = np.clip(points[:, 1] * np.float32(0.7), 0, 1)
    occlusion = np.float32(0.6) + np.float32(0.4) * near_ground
    leafy = solids.materials["leafy"][ids]
    clump = clumps(surface, foot)
    arriving = Arriving(
        sun=np.clip(1 + leafy * (np.float32(0.9) * clump - np.float32(0.25)), 0, 1.6),
        sky=occlusion * (1 + leafy * np.float32(0.55) * clump),
    )
    radiance = lit(view.world.light, colors, surface.normals, arriving)
    return _Shaded(radiance, solids.labels[ids], surface.normals)
