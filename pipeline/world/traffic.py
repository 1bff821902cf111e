"""What moves: the camera's own drive, cars, lorries, buses and people.

T frames at given seconds; s metres right of the middle of the road, z metres along it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.world import movers
from pipeline.world.camera import Camera, rotations_of
from pipeline.world.movers import Path
from pipeline.world.scene import Primitive
from pipeline.world.street import Street


@dataclass(frozen=True)
class Drive:
    """The camera's lane, speed and way."""

    camera: Camera
    lane: float
    """S of the camera's lane."""
    speed: float
    """Metres per second."""
    travel: float
    """Metres from the first frame to the last."""


def drive(
    rng: np.random.Generator, street: Street, seconds: NDArray, shape: tuple[int, int]
) -> Drive:
    """A random drive along the street: forward, turning, bobbing, drifting."""
    lane = street.lane_lines[-1] / 2 if len(street.lane_lines) > 1 else street.half_width / 2.4
    lane = min(lane, 2.4) + float(rng.uniform(-0.3, 0.3))
    speed = 3 + 12 * float(rng.beta(0.8, 3.2))
    z = speed * seconds
    drift = float(rng.choice([0.0, 0.0, 1.0])) * float(rng.uniform(-1.2, 1.2))
    s = lane + drift * np.sin(seconds * 1.3 + rng.uniform(0, 6))
    turning = float(rng.normal(0, 0.015) if rng.random() < 0.75 else rng.uniform(-0.2, 0.2))
    start = float(rng.uniform(-0.5, 0.1)) * turning * float(seconds[-1])
    sway = float(rng.uniform(0, 0.005)) * np.sin(seconds * rng.uniform(3, 9) + rng.uniform(0, 6))
    yaws = np.arctan(street.slope(z)) + start + turning * seconds + sway
    bob = float(rng.uniform(0.0003, 0.003)) * np.sin(
        seconds * rng.uniform(6, 14) + rng.uniform(0, 6)
    )
    pitches = float(rng.uniform(-0.045, 0.02)) + bob
    rolls = float(rng.normal(0, 0.008)) + float(rng.uniform(0, 0.008)) * np.sin(seconds * 5)
    height = float(rng.uniform(1.3, 2.0)) + 0.4 * bob
    positions = _on_street(street, s, z)
    positions[:, 1] = height
    camera = Camera(
        height=shape[0],
        width=shape[1],
        focal=shape[1] * float(rng.uniform(0.98, 1.06)),
        positions=positions,
        rotations=rotations_of(yaws, pitches, np.broadcast_to(rolls, yaws.shape)),
    )
    return Drive(camera=camera, lane=lane, speed=speed, travel=float(z[-1]))


def _on_street(street: Street, s: NDArray, z: NDArray) -> NDArray[np.float32]:
    slope = street.slope(z)
    lean = np.hypot(1.0, slope)
    s = np.broadcast_to(s, z.shape)
    points = [street.center(z) + s / lean, np.zeros_like(z), z - s * slope / lean]
    return np.stack(points, -1).astype(np.float32)


def _along(street: Street, s: NDArray | float, z: NDArray, *, backwards: bool) -> Path:
    yaws = np.arctan(street.slope(z)) + (np.pi if backwards else 0)
    return Path(_on_street(street, np.asarray(s), z), yaws.astype(np.float32))


_VEHICLES = (movers.car, movers.truck, movers.bus)


def vehicles(
    rng: np.random.Generator, street: Street, mine: Drive, seconds: NDArray
) -> list[Primitive]:
    """Oncoming and leading traffic, parked cars, and cars on the side road."""
    solids: list[Primitive] = []
    mix = rng.dirichlet([3.2, 0.8, 0.7])

    def one(path: Path) -> list[Primitive]:
        return _VEHICLES[int(rng.choice(3, p=mix))](rng, path)

    z = float(rng.uniform(8, 30))
    speed = float(rng.uniform(2.5, 9))
    while z < 90:
        solids += one(_along(street, -mine.lane, z - speed * seconds, backwards=True))
        z += float(rng.uniform(10, 40))
    if rng.random() < 0.55:
        z = float(rng.uniform(9, 26))
        speed = mine.speed * float(rng.uniform(0.75, 1.15))
        solids += one(_along(street, mine.lane, z + speed * seconds, backwards=False))
    solids += _parked(rng, street, seconds, one)
    if abs(street.crossing_z) < 200:
        solids += _crossing(rng, street, seconds, one)
    return solids


def _parked(rng: np.random.Generator, street: Street, seconds: NDArray, one) -> list[Primitive]:
    solids: list[Primitive] = []
    for side in (-1, 1):
        if rng.random() < 0.5 or street.half_width < 5.3:
            continue
        z = float(rng.uniform(-8, 4))
        while z < 60:
            if abs(z - street.crossing_z) > street.crossing_half + 3 and rng.random() < 0.75:
                s = side * (street.half_width - 1.05)
                solids += one(_along(street, s, z + 0 * seconds, backwards=side < 0))
            z += float(rng.uniform(6.5, 9)) if rng.random() < 0.7 else float(rng.uniform(14, 20))
    return solids


def _crossing(rng: np.random.Generator, street: Street, seconds: NDArray, one) -> list[Primitive]:
    solids: list[Primitive] = []
    for direction in (-1, 1):
        if rng.random() < 0.4:
            continue
        x = float(rng.uniform(-14, 8)) * direction + direction * float(rng.uniform(3, 9)) * seconds
        z = street.crossing_z - direction * street.crossing_half / 2
        points = np.stack([x + street.center(np.float64(z)), 0 * x, 0 * x + z], -1)
        solids += one(Path(points.astype(np.float32), np.full(len(x), direction * np.pi / 2)))
    return solids


def people(
    rng: np.random.Generator, street: Street, mine: Drive, seconds: NDArray
) -> list[Primitive]:
    """Walkers along the pavements, alone or in twos, and some who cross ahead."""
    solids: list[Primitive] = []
    for _ in range(int(rng.integers(3, 9))):
        side = int(rng.choice([-1, 1]))
        s = side * (street.half_width + float(rng.uniform(0.6, 3.0)))
        z = float(rng.uniform(9, 30)) + float(rng.uniform(0.2, 0.9)) * mine.travel
        speed = float(rng.choice([0.0, rng.uniform(0.7, 1.6), rng.uniform(1.8, 3.2)],
                                 p=[0.15, 0.6, 0.25]))
        backwards = bool(rng.random() < 0.5)
        way = -speed if backwards else speed
        for mate in range(int(rng.choice([1, 2], p=[0.65, 0.35]))):
            path = _along(street, s + 0.62 * mate * side, z + 0.2 * mate + way * seconds,
                          backwards=backwards)
            solids += movers.person(rng, path, seconds)
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.35, 0.3, 0.2, 0.15]))):
        direction = int(rng.choice([-1, 1]))
        z = mine.travel + float(rng.uniform(9, 24))
        s = float(rng.uniform(-5, 5)) + direction * float(rng.uniform(0.8, 3.2)) * seconds
        here = np.full_like(seconds, z)
        yaws = np.full(len(seconds), direction * np.pi / 2) + np.arctan(street.slope(here))
        path = Path(_on_street(street, s, here), yaws.astype(np.float32))
        solids += movers.person(rng, path, seconds)
    return solids
