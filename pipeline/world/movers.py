"""Vehicles and people, built from primitives that share one path.

T frames; a path is a position and a heading per frame.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.world.palette import paint, plain, shade
from pipeline.world.scene import Color, Floats, Material, Primitive, Shape, Skin, ball, box

PERSON, CAR, TRUCK, BUS = 11, 13, 14, 15
_GLASS: Color = (0.035, 0.045, 0.055)
_RUBBER = Material(color=(0.02, 0.02, 0.02), noise_amount=0.05)
_DARK = Material(color=(0.05, 0.05, 0.05), lights=1.0)
_LEFT_RIGHT = (-1.0, 1.0)


@dataclass(frozen=True)
class Path:
    """Where something is and which way it faces."""

    positions: Floats
    """(T, 3), a point on the ground, metres."""
    yaws: Floats
    """(T,), radians; 0 faces +z."""

    def ahead(self, metres: Floats) -> "Path":
        """The same path with every place moved forwards, by (T,) metres."""
        aside = np.zeros_like(self.yaws)
        step = np.stack([np.sin(self.yaws) * metres, aside, np.cos(self.yaws) * metres], -1)
        return Path((self.positions + step).astype(np.float32), self.yaws)


def _part(path: Path, offset: tuple[float, float, float], shape: Shape, skin: Skin) -> Primitive:
    """A primitive carried along a path at an offset (right, up, forward) from it."""
    cos, sin = np.cos(path.yaws), np.sin(path.yaws)
    x, y, z = offset
    moved = np.stack([x * cos + z * sin, np.full_like(cos, y), z * cos - x * sin], -1)
    centers = (path.positions + moved).astype(np.float32)
    return Primitive(shape=shape, skin=skin, centers=centers, yaws=path.yaws.astype(np.float32))


def _wheels(
    path: Path, label: int, half: float, places: tuple[float, ...], radius: float
) -> list[Primitive]:
    shape, skin = ball(0.15, radius, radius), Skin(label, _RUBBER, casts_shadow=False)
    return [
        _part(path, (side * (half - 0.1), radius, z), shape, skin)
        for side in _LEFT_RIGHT
        for z in places
    ]


def car(rng: np.random.Generator, path: Path) -> list[Primitive]:
    """A car of random build and paint."""
    length, half = float(rng.uniform(1.9, 2.4)), float(rng.uniform(0.85, 0.95))
    waist, top = float(rng.uniform(0.62, 0.8)), float(rng.uniform(0.55, 0.85))
    body = Material(color=paint(rng), noise_amount=0.03, lights=1.0)
    cabin = Material(
        color=body.color,
        accent=_GLASS,
        noise_amount=0.03,
        pane_u=1.1,
        pane_v=top,
        pane_fill_u=0.88,
        pane_fill_v=0.7,
        pane_strength=0.95,
        wide_ends=1.0,
    )
    hull = box(half, waist, length, taper=(0.06, 0.12))
    roof = box(half - 0.08, top, length * 0.62, taper=(0.22, float(rng.uniform(0.35, 0.8))))
    back = float(rng.uniform(-0.5, 0.1))
    return [
        _part(path, (0, 0.22, 0), hull, Skin(CAR, body)),
        _part(path, (0, 0.2 + waist, back), roof, Skin(CAR, cabin)),
        *_wheels(path, CAR, half, (-0.62 * length, 0.62 * length), 0.33),
    ]


def truck(rng: np.random.Generator, path: Path) -> list[Primitive]:
    """A lorry: a cab before a high box, over a dark frame."""
    half, height = float(rng.uniform(1.05, 1.25)), float(rng.uniform(1.9, 2.7))
    load = float(rng.uniform(1.8, 3.6))
    is_painted = rng.random() < 0.6
    cargo = Material(
        color=paint(rng) if is_painted else shade(rng, (0.5, 0.48, 0.44)),
        accent=shade(rng, (0.15, 0.15, 0.15)),
        noise_amount=0.08,
        joint_u=float(rng.uniform(0.5, 1.6)),
        joint_width=0.05,
        joint_strength=float(rng.uniform(0.1, 0.6)),
    )
    cab = Material(
        color=paint(rng),
        accent=_GLASS,
        noise_amount=0.04,
        pane_u=1.9,
        pane_v=2.4,
        pane_fill_u=0.8,
        pane_fill_v=0.42,
        pane_bottom=0.25,
        pane_strength=0.95,
        wide_ends=1.0,
    )
    cab_shape = box(half * 0.97, float(rng.uniform(1.9, 2.3)), 0.9, taper=(0.03, 0.06))
    wheels = (-load * 0.75, -load * 0.75 + 1.1, load + 0.75)
    return [
        _part(path, (0, 0.85, -0.2), box(half, height, load), Skin(TRUCK, cargo)),
        _part(path, (0, 0.45, 0), box(half * 0.8, 0.4, load + 1.0), Skin(TRUCK, _DARK)),
        _part(path, (0, 0.4, load + 0.9), cab_shape, Skin(TRUCK, cab)),
        *_wheels(path, TRUCK, half, wheels, 0.48),
    ]


def bus(rng: np.random.Generator, path: Path) -> list[Primitive]:
    """A bus: one long body with a band of windows."""
    half, length = float(rng.uniform(1.15, 1.28)), float(rng.uniform(4.2, 6.2))
    height = float(rng.uniform(2.5, 2.9))
    body = Material(
        color=paint(rng),
        accent=_GLASS,
        noise_amount=0.04,
        pane_u=1.5,
        pane_v=height,
        pane_fill_u=0.86,
        pane_fill_v=0.44,
        pane_bottom=0.25,
        pane_strength=0.93,
        wide_ends=1.0,
    )
    trim = Material(color=shade(rng, body.color, 0.5), noise_amount=0.05, lights=1.0)
    skirt, roof = box(half, 0.45, length), box(half * 0.92, 0.25, length * 0.95)
    return [
        _part(path, (0, 0.75, 0), box(half, height - 0.4, length), Skin(BUS, body)),
        _part(path, (0, 0.3, 0), skirt, Skin(BUS, trim)),
        _part(path, (0, 0.35 + height, 0), roof, Skin(BUS, trim)),
        *_wheels(path, BUS, half, (-length * 0.62, length * 0.66), 0.48),
    ]


def person(rng: np.random.Generator, path: Path, seconds: Floats) -> list[Primitive]:
    """A person whose limbs swing with the speed of the path."""
    tall, wide = float(rng.uniform(0.88, 1.12)), float(rng.uniform(0.9, 1.25))
    top = plain(paint(rng), 0.2)
    legs = Skin(PERSON, plain(paint(rng), 0.2))
    skin = Skin(PERSON, plain(shade(rng, (0.42, 0.26, 0.18), 0.45), 0.05), casts_shadow=False)
    arms = Skin(PERSON, top, casts_shadow=False)
    chest = ball(0.25 * wide, 0.38 * tall, 0.19 * wide)
    leg, arm = ball(0.115 * wide, 0.47 * tall, 0.13 * wide), ball(0.075, 0.34 * tall, 0.09)
    swing = _swing(rng, path, seconds)
    parts = [
        _part(path, (0, 1.13 * tall, 0), chest, Skin(PERSON, top)),
        _part(path, (0, 1.6 * tall, 0), ball(0.115, 0.145, 0.125), skin),
    ]
    for side in _LEFT_RIGHT:
        fore, back = path.ahead(side * swing), path.ahead(-side * swing)
        parts.append(_part(fore, (side * 0.1 * wide, 0.43 * tall, 0), leg, legs))
        parts.append(_part(back, (side * 0.29 * wide, 1.1 * tall, 0), arm, arms))
    return parts


def _swing(rng: np.random.Generator, path: Path, seconds: Floats) -> Floats:
    """How far one leg is ahead of the body, (T,) metres."""
    phase = float(rng.uniform(0, 6))
    if len(seconds) < 2:
        return np.zeros_like(seconds)
    moved = float(np.linalg.norm(path.positions[-1] - path.positions[0]))
    speed = moved / float(seconds[-1] - seconds[0])
    return min(0.34, 0.26 * speed) * np.sin(seconds * (2.2 + 3.5 * speed) + phase)
