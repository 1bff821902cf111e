"""Where on a primitive a ray ends, which way the surface faces there, and its colour.

N hits of any primitives at once; lengths in metres.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.world.noise import cell_hash, value_noise
from pipeline.world.scene import Floats, Kind, Solids


@dataclass(frozen=True)
class Surface:
    """Hits in the axes of their primitives."""

    ids: NDArray[np.int16]
    """(N,)."""
    local: Floats
    """(N, 3): place in the primitive's axes."""
    normals: Floats
    """(N, 3): outward, world axes, unit length."""
    u: Floats
    """(N,): level coordinate on the face."""
    ends: NDArray[np.int8]
    """(N,): 1 on the front face of a box, -1 on its back, 0 elsewhere."""


def locate(solids: Solids, frame: int, ids: NDArray[np.int16], points: Floats) -> Surface:
    """Describe the surface at world points (N, 3) that lie on primitives `ids`."""
    yaws = solids.yaws[frame][ids]
    cos, sin = np.cos(yaws), np.sin(yaws)
    offset = points - solids.centers[frame][ids]
    x = offset[:, 0] * cos - offset[:, 2] * sin
    z = offset[:, 0] * sin + offset[:, 2] * cos
    y = offset[:, 1]
    size, taper, kind = solids.sizes[ids], solids.tapers[ids], solids.kinds[ids]
    faces = _box_faces(x, y, z, size, taper)
    normals, u, ends = faces.normals, faces.u, faces.ends
    ball = kind == Kind.ELLIPSOID
    if ball.any():
        local = np.stack([x, y, z], -1)[ball] / size[ball] ** 2
        normals[ball] = local / np.linalg.norm(local, axis=1, keepdims=True)
        u[ball] = x[ball] + np.float32(0.7) * z[ball]
        ends[ball] = 0
    tube = kind == Kind.CYLINDER
    if tube.any():
        normals[tube] = np.stack([x, np.zeros_like(x), z], -1)[tube] / size[tube, :1]
        u[tube] = x[tube] + np.float32(0.7) * z[tube]
        ends[tube] = 0
    world = np.stack(
        [
            normals[:, 0] * cos + normals[:, 2] * sin,
            normals[:, 1],
            normals[:, 2] * cos - normals[:, 0] * sin,
        ],
        -1,
    )
    return Surface(ids=ids, local=np.stack([x, y, z], -1), normals=world, u=u, ends=ends)


@dataclass(frozen=True)
class _Faces:
    """As in `Surface`, but normals in the primitive's axes."""

    normals: Floats
    u: Floats
    ends: NDArray[np.int8]


def _box_faces(x: Floats, y: Floats, z: Floats, size: Floats, taper: Floats) -> _Faces:
    """Faces of boxes, taking every point for one of a box."""
    side = np.abs(x) - size[:, 0] + taper[:, 0] * y
    end = np.abs(z) - size[:, 2] + taper[:, 1] * y
    lid = np.abs(y - size[:, 1] / 2) - size[:, 1] / 2
    is_side = (side >= end) & (side >= lid)
    is_end = ~is_side & (end >= lid)
    is_lid = ~is_side & ~is_end
    normals = np.zeros((len(x), 3), np.float32)
    lean = np.sqrt(1 + np.where(is_side, taper[:, 0], taper[:, 1]) ** 2)
    normals[:, 0] = np.where(is_side, np.sign(x) / lean, 0)
    normals[:, 2] = np.where(is_end, np.sign(z) / lean, 0)
    slanted = np.where(is_side, taper[:, 0], taper[:, 1]) / lean
    normals[:, 1] = np.where(is_lid, np.sign(y - size[:, 1] / 2), slanted)
    u = np.where(is_side, z + size[:, 2], x + size[:, 0])
    ends = np.where(is_end, np.sign(z), 0).astype(np.int8)
    return _Faces(normals, u, ends)


def surface_colors(solids: Solids, surface: Surface, foot: Floats) -> Floats:
    """Linear reflectance of each hit, (N, 3).

    Args:
        solids: All primitives.
        surface: The hits.
        foot: Size of a pixel at each hit in metres, (N,): finer detail fades.
    """
    ids, u, v = surface.ids, surface.u, surface.local[:, 1]
    look = {name: values[ids] for name, values in solids.materials.items()}
    salt = ids.astype(np.float32) * np.float32(17.3)
    scale = look["noise_scale"]
    rough = value_noise(u * scale + salt, v * scale, foot * scale)
    rough += 0.6 * value_noise(u * scale * 3.7, v * scale * 3.7 + salt, foot * scale * 3.7)
    colors = look["color"] * (1 + rough * look["noise_amount"])[:, None]
    colors *= np.where(v < look["plinth"], np.float32(0.72), 1)[:, None]
    joint = _joints(look, u, v, foot)[:, None]
    colors += joint * (look["accent"] - colors)
    pane, glass = _panes(look, u, v, foot, salt=salt, end_width=_end_width(solids, surface))
    colors += pane[:, None] * (look["accent"] * glass[:, None] - colors)
    return _lamps(colors, solids, surface, look["lights"])


def clumps(surface: Surface, foot: Floats) -> Floats:
    """Light and dark masses of leaves, about -1.5..1.5; `foot` is the size of a pixel in metres."""
    across = surface.local[:, 0] + np.float32(0.8) * surface.local[:, 2] + surface.ids
    up = surface.local[:, 1] - np.float32(0.5) * surface.local[:, 2]
    coarse = value_noise(across * np.float32(1.9), up * np.float32(1.9), foot * np.float32(1.9))
    return coarse + np.float32(0.9) * value_noise(
        across * np.float32(6.1), up * np.float32(6.1), foot * np.float32(6.1)
    )


def _joints(look: dict[str, Floats], u: Floats, v: Floats, foot: Floats) -> Floats:
    row = np.floor(v / np.maximum(look["joint_v"], 1e-3))
    shifted = u + look["stagger"] * (row % 2) * look["joint_u"]
    upright = _stripes(shifted, look["joint_u"], look["joint_width"], foot)
    level = _stripes(v, look["joint_v"], look["joint_width"], foot)
    return np.maximum(upright, level) * look["joint_strength"]


def _stripes(place: Floats, period: Floats, width: Floats, foot: Floats) -> Floats:
    """Coverage of stripes of a width, averaged over the width of a pixel."""
    safe = np.maximum(period, 1e-3)
    offset = np.abs(place / safe % 1 - 0.5) * safe
    soft = np.maximum(foot, 1e-3)
    sharp = np.clip((width / 2 - offset) / soft + 0.5, 0, 1) * np.minimum(1, width / soft)
    fade = np.clip(2 - 2 * foot / safe, 0, 1)
    return np.where(period > 0, sharp * fade + (1 - fade) * width / safe, 0)


def _end_width(solids: Solids, surface: Surface) -> Floats:
    """Full width where the hit is on an end face, 0 elsewhere."""
    return 2 * solids.sizes[surface.ids, 0] * (surface.ends != 0)


def _panes(
    look: dict[str, Floats], u: Floats, v: Floats, foot: Floats, *, salt: Floats, end_width: Floats
) -> tuple[Floats, Floats]:
    """Coverage by windows and how bright each of them is."""
    is_end = (look["wide_ends"] > 0) & (end_width > 0)
    period_u = np.where(is_end, end_width, np.maximum(look["pane_u"], 1e-3))
    period_v = np.maximum(look["pane_v"], 1e-3)
    height = v - look["pane_bottom"]
    column, row = u / period_u, height / period_v
    in_u = (look["pane_fill_u"] / 2 - np.abs(column % 1 - 0.5)) * period_u / np.maximum(foot, 1e-3)
    in_v = (look["pane_fill_v"] / 2 - np.abs(row % 1 - 0.5)) * period_v / np.maximum(foot, 1e-3)
    inside = np.clip(in_u + 0.5, 0, 1) * np.clip(in_v + 0.5, 0, 1)
    allowed = (height > 0) & (v < look["pane_top"]) & (look["pane_u"] > 0)
    glass = 0.6 + 0.9 * cell_hash(np.floor(column), np.floor(row), salt)
    return inside * allowed * look["pane_strength"], glass


def _lamps(colors: Floats, solids: Solids, surface: Surface, lights: Floats) -> Floats:
    lit = (lights > 0) & (surface.ends != 0)
    if not lit.any():
        return colors
    size = solids.sizes[surface.ids[lit]]
    x, y = np.abs(surface.local[lit, 0]), surface.local[lit, 1]
    spot = (x > 0.62 * size[:, 0]) & (np.abs(y / size[:, 1] - 0.66) < 0.2)
    front = surface.ends[lit] > 0
    lamp = np.where(front[:, None], [0.9, 0.9, 0.8], [0.6, 0.02, 0.02]).astype(np.float32)
    plate = (x < 0.25) & (np.abs(y / size[:, 1] - 0.35) < 0.12)
    patched = np.where(spot[:, None], lamp, colors[lit])
    colors[lit] = np.where(plate[:, None], np.float32(0.5), patched)
    return colors
