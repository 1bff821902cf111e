"""Vehicles and people, built from primitives that share one path.

T frames; a path is a position and a heading per frame.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.world.palette import paint, plain, shade
from pipeline.world.scene import Color, Floats, Kind, Material, Primitive

PERSON, CAR, TRUCK, BUS = 11, 13, 14, 15
_GLASS: Color = (0.035, 0.045, 0.055)
_RUBBER = Material(color=(0.02, 0.02, 0.02), noise_amount=0.05)


@dataclass(frozen=True)
class Path:
    """Where something stands and which way it faces."""

    positions: Floats
    """(T, 3), a point on the ground, metres."""
    yaws: Floats
    """(T,), radians; 0 faces +z."""


def _part(
    path: Path,
    offset: tuple[float, float, float],
    kind: Kind,
    size: tuple[float, float, float],
    *,
    label: int,
    material: Material,
    taper: tuple[float, float] = (0.0, 0.0),
    casts_shadow: bool = True,
) -> Primitive:
    """A primitive carried along a path at an offset in the path's own axes."""
    cos, sin = np.cos(path.yaws), np.sin(path.yaws)
    x, y, z = offset
    moved = np.stack([x * cos + z * sin, np.full_like(cos, y), z * cos - x * sin], -1)
    return Primitive(
        kind=kind,
        label=label,
        size=size,
        centers=(path.positions + moved).astype(np.float32),
        yaws=path.yaws.astype(np.float32),
        material=material,
        taper=taper,
        casts_shadow=casts_shadow,
    )


def _wheels(path: Path, label: int, half: float, places: tuple[float, ...], r: float) -> list:
    return [
        _part(path, (side * (half - 0.1), r, z), Kind.ELLIPSOID, (0.15, r, r),
              label=label, material=_RUBBER, casts_shadow=False)
        for side in (-1, 1)
        for z in places
    ]


def car(rng: np.random.Generator, path: Path) -> list[Primitive]:
    """A car of random build and paint."""
    length, width = float(rng.uniform(1.9, 2.4)), float(rng.uniform(0.85, 0.95))
    waist, top = float(rng.uniform(0.62, 0.8)), float(rng.uniform(0.55, 0.85))
    body = Material(color=paint(rng), noise_amount=0.03, lights=1.0)
    cabin = Material(color=body.color, accent=_GLASS, noise_amount=0.03, pane_u=1.1, pane_v=top,
                     pane_fill_u=0.88, pane_fill_v=0.7, pane_strength=0.95, wide_ends=1.0)
    back = float(rng.uniform(-0.5, 0.1))
    lean = float(rng.uniform(0.35, 0.8))
    return [
        _part(path, (0, 0.22, 0), Kind.BOX, (width, waist, length), label=CAR, material=body,
              taper=(0.06, 0.12)),
        _part(path, (0, 0.2 + waist, back), Kind.BOX, (width - 0.08, top, length * 0.62),
              label=CAR, material=cabin, taper=(0.22, lean)),
        *_wheels(path, CAR, width, (-0.62 * length, 0.62 * length), 0.33),
    ]


def truck(rng: np.random.Generator, path: Path) -> list[Primitive]:
    """A lorry: a cab before a box, a tank or a flat bed with a load."""
    half, height = float(rng.uniform(1.05, 1.25)), float(rng.uniform(1.9, 2.7))
    load = float(rng.uniform(1.8, 3.6))
    cab_color = paint(rng)
    box_color = paint(rng) if rng.random() < 0.6 else shade(rng, (0.5, 0.48, 0.44))
    cargo = Material(color=box_color, accent=shade(rng, (0.15, 0.15, 0.15)), noise_amount=0.08,
                     joint_u=float(rng.uniform(0.5, 1.6)), joint_width=0.05,
                     joint_strength=float(rng.uniform(0.1, 0.6)))
    cab = Material(color=cab_color, accent=_GLASS, noise_amount=0.04, pane_u=1.9, pane_v=2.4,
                   pane_fill_u=0.8, pane_fill_v=0.42, pane_bottom=0.25, pane_strength=0.95,
                   wide_ends=1.0)
    front = load + 0.75
    return [
        _part(path, (0, 0.85, -0.2), Kind.BOX, (half, height, load), label=TRUCK, material=cargo),
        _part(path, (0, 0.45, 0), Kind.BOX, (half * 0.8, 0.4, load + 1.0), label=TRUCK,
              material=Material(color=(0.05, 0.05, 0.05), lights=1.0)),
        _part(path, (0, 0.4, front + 0.15), Kind.BOX, (half * 0.97, float(rng.uniform(1.9, 2.3)), 0.9),
              label=TRUCK, material=cab, taper=(0.03, 0.06)),
        *_wheels(path, TRUCK, half, (-load * 0.75, -load * 0.75 + 1.1, front), 0.48),
    ]


def bus(rng: np.random.Generator, path: Path) -> list[Primitive]:
    """A bus: one long body with a band of windows."""
    half, length = float(rng.uniform(1.15, 1.28)), float(rng.uniform(4.2, 6.2))
    height = float(rng.uniform(2.5, 2.9))
    body = Material(color=paint(rng), accent=_GLASS, noise_amount=0.04, pane_u=1.5, pane_v=height,
                    pane_fill_u=0.86, pane_fill_v=0.44, pane_bottom=0.25, pane_strength=0.93,
                    wide_ends=1.0)
    skirt = Material(color=shade(rng, body.color, 0.5), noise_amount=0.05, lights=1.0)
    return [
        _part(path, (0, 0.75, 0), Kind.BOX, (half, height - 0.4, length), label=BUS,
              material=body),
        _part(path, (0, 0.3, 0), Kind.BOX, (half, 0.45, length), label=BUS, material=skirt),
        _part(path, (0, 0.35 + height, 0), Kind.BOX, (half * 0.92, 0.25, length * 0.95), label=BUS,
              material=skirt),
        *_wheels(path, BUS, half, (-length * 0.62, length * 0.66), 0.48),
    ]


def person(rng: np.random.Generator, path: Path, seconds: NDArray) -> list[Primitive]:
    """A walking person: legs swing with the speed of the path."""
    tall = float(rng.uniform(0.88, 1.12))
    wide = float(rng.uniform(0.9, 1.25))
    top, bottom = plain(paint(rng), 0.2), plain(paint(rng), 0.2)
    skin = plain(shade(rng, (0.42, 0.26, 0.18), 0.45), 0.05)
    if len(seconds) > 1:
        moved = np.linalg.norm(path.positions[-1] - path.positions[0])
        speed = float(moved / (seconds[-1] - seconds[0]))
    else:
        speed = 0.0
    swing = min(0.34, 0.26 * speed) * np.sin(seconds * (2.2 + 3.5 * speed) + rng.uniform(0, 6))
    parts = [
        _part(path, (0, 1.13 * tall, 0), Kind.ELLIPSOID, (0.25 * wide, 0.38 * tall, 0.19 * wide),
              label=PERSON, material=top),
        _part(path, (0, 1.6 * tall, 0), Kind.ELLIPSOID, (0.115, 0.145, 0.125), label=PERSON,
              material=skin, casts_shadow=False),
    ]
    for side in (-1.0, 1.0):
        stride = Path(path.positions + _ahead(path.yaws, side * swing), path.yaws)
        parts.append(_part(stride, (side * 0.1 * wide, 0.43 * tall, 0), Kind.ELLIPSOID,
                           (0.115 * wide, 0.47 * tall, 0.13 * wide), label=PERSON, material=bottom))
        parts.append(_part(Path(path.positions - _ahead(path.yaws, side * swing), path.yaws),
                           (side * 0.29 * wide, 1.1 * tall, 0), Kind.ELLIPSOID,
                           (0.075, 0.34 * tall, 0.09), label=PERSON, material=top,
                           casts_shadow=False))
    return parts


def _ahead(yaws: Floats, distance: NDArray) -> Floats:
    return np.stack([np.sin(yaws) * distance, np.zeros_like(yaws), np.cos(yaws) * distance], -1)
