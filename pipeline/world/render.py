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
    ShadowMap,
    empty_shadows,
    lit,
    look_up,
    sky_colors,
    through_air,
    with_shadows,
)
from pipeline.world.noise import value_noise
from pipeline.world.raycast import GROUND, SKY, Hits, cast
from pipeline.world.scene import Floats
from pipeline.world.street import ground_colors, ground_labels
from pipeline.world.surface import Surface, locate, surface_colors

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
        radiance[frame], semseg[frame], normals = _shade_frame(world, frame, hits, current)
        centers = hits.depths[::2, ::2]
        depth[frame] = np.where(centers <= DEPTH_LIMIT, centers, 0)
        after = FlowBuffer(hits.ids[::2, ::2], centers, hits.rays[:, ::2, ::2], normals)
        if before is not None:
            flow[frame] = backward_flow(world.solids, camera, frame, after, before)
        before = after
    return Frames(radiance=radiance, semseg=semseg, depth=depth, flow=flow)


def _split_movers(world: World) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    solids = world.solids
    moves = (np.ptp(solids.centers, axis=0) > 1e-4).any(axis=-1) & solids.casts_shadow
    return np.flatnonzero(solids.casts_shadow & ~moves), np.flatnonzero(moves)


def _shade_frame(
    world: World, frame: int, hits: Hits, shadows: ShadowMap
) -> tuple[Floats, NDArray[np.uint8], Floats]:
    """Radiance (H, W, 3), classes (H, W) and world normals (H, W, 3) of a frame."""
    ids = hits.ids
    samples = np.empty((*ids.shape, 3), np.float32)
    labels, normals = np.empty(0), np.empty(0)
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        corner = (slice(row, None, 2), slice(column, None, 2))
        if row == column == 0:
            picked = np.ones(ids[corner].shape, np.bool_)
        else:
            # Inside a surface the neighbour's colour will do: only edges need their own.
            picked = ids[corner] != ids[::2, ::2]
            samples[corner] = samples[::2, ::2]
        colors, classes, facing = _shade(
            world,
            frame,
            ids[corner][picked],
            hits.depths[corner][picked],
            hits.rays[(slice(None), *corner)][:, picked].T,
            shadows,
        )
        samples[corner][picked] = colors
        if row == column == 0:
            labels, normals = classes.reshape(picked.shape), facing.reshape(*picked.shape, 3)
    return _tent(samples), labels, normals


def _tent(samples: Floats) -> Floats:
    """Average the rays around every pixel centre with weights 1 2 1, (2H, 2W, 3) -> (H, W, 3)."""
    half, quarter = np.float32(0.5), np.float32(0.25)
    even, odd = samples[:, ::2], samples[:, 1::2]
    left = np.concatenate([odd[:, :1], odd[:, :-1]], axis=1)
    across = half * even + quarter * (odd + left)
    even, odd = across[::2], across[1::2]
    above = np.concatenate([odd[:1], odd[:-1]], axis=0)
    return half * even + quarter * (odd + above)


def _shade(
    world: World,
    frame: int,
    ids: NDArray[np.int16],
    depths: Floats,
    rays: Floats,
    shadows: ShadowMap,
) -> tuple[Floats, NDArray[np.uint8], Floats]:
    """Radiance (N, 3), class (N,) and world normal (N, 3) of hits."""
    colors = np.empty((len(ids), 3), np.float32)
    labels = np.full(len(ids), SKY_LABEL, np.uint8)
    normals = np.zeros((len(ids), 3), np.float32)
    sky, ground, solid = ids == SKY, ids == GROUND, ids >= 0
    colors[sky] = sky_colors(world.light, rays[sky])
    origin = world.camera.positions[frame]
    for picked, shader in ((ground, _shade_ground), (solid, _shade_solids)):
        if picked.any():
            points = origin + depths[picked, None] * rays[picked]
            shaded = shader(world, frame, ids[picked], points, depths[picked], shadows)
            colors[picked], labels[picked], normals[picked] = shaded
    return colors, labels, normals


def _shade_ground(
    world: World,
    frame: int,
    ids: NDArray[np.int16],
    points: Floats,
    depths: Floats,
    shadows: ShadowMap,
) -> tuple[Floats, NDArray[np.uint8], Floats]:
    x, z = points[:, 0], points[:, 2]
    labels = ground_labels(world.street, x, z)
    colors = ground_colors(world.street, x, z, labels, depths, world.camera.focal)
    sun, sky = look_up(shadows, x, z)
    normals = np.tile(np.array([0, 1, 0], np.float32), (len(ids), 1))
    radiance = lit(world.light, colors, normals, sun, sky)
    return through_air(world.light, radiance, depths), labels, normals


def _clumps(surface: Surface, foot: Floats) -> Floats:
    """Light and dark masses of leaves, about -1.5..1.5; `foot` is the size of a pixel in metres."""
    across = surface.local[:, 0] + np.float32(0.8) * surface.local[:, 2] + surface.ids
    up = surface.local[:, 1] - np.float32(0.5) * surface.local[:, 2]
    coarse = value_noise(across * 1.9, up * 1.9, foot * np.float32(1.9))
    return coarse + np.float32(0.9) * value_noise(across * 6.1, up * 6.1, foot * np.float32(6.1))


def _shade_solids(
    world: World,
    frame: int,
    ids: NDArray[np.int16],
    points: Floats,
    depths: Floats,
    shadows: ShadowMap,
) -> tuple[Floats, NDArray[np.uint8], Floats]:
    solids = world.solids
    surface = locate(solids, frame, ids, points)
    colors = surface_colors(solids, surface, depths, world.camera.focal)
    near_ground = np.clip(points[:, 1] * np.float32(0.7), 0, 1)
    occlusion = np.float32(0.6) + np.float32(0.4) * near_ground
    leafy = solids.materials["leafy"][ids]
    clump = _clumps(surface, depths / np.float32(world.camera.focal))
    occlusion = occlusion * (1 + leafy * 0.55 * clump)
    sunlight = np.clip(1 + leafy * (0.9 * clump - 0.25), 0, 1.6)
    radiance = lit(world.light, colors, surface.normals, sunlight, occlusion)
    return through_air(world.light, radiance, depths), solids.labels[ids], surface.normals
