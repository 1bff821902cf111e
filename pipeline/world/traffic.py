"""Other vehicles: oncoming and leading, parked, and on the side road.

T frames at given seconds; s metres right of the middle of the road, z metres along it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.world import movers
from pipeline.world.drive import Drive, across, along
from pipeline.world.movers import Path
from pipeline.world.scene import Floats, Primitive
from pipeline.world.street import Street


@dataclass(frozen=True)
class _Kind:
    build: Callable[[np.random.Generator, Path], list[Primitive]]
    half_length: float
    """Upper bound, metres."""
    weight: float


_KINDS = (
    _Kind(movers.car, 2.5, 3.2),
    _Kind(movers.truck, 4.9, 0.8),
    _Kind(movers.bus, 6.3, 0.7),
)


@dataclass(frozen=True)
class _Scene:
    """What every vehicle has to know."""

    street: Street
    mine: Drive
    seconds: Floats
    mix: tuple[float, ...]
    """Share of each kind."""

    def draw(self, rng: np.random.Generator) -> _Kind:
        return _KINDS[int(rng.choice(len(_KINDS), p=self.mix))]


def vehicles(
    rng: np.random.Generator, street: Street, mine: Drive, seconds: Floats
) -> list[Primitive]:
    """All vehicles but the camera's; each street has its own mix of kinds."""
    mix = tuple(rng.dirichlet([kind.weight for kind in _KINDS]).tolist())
    scene = _Scene(street, mine, seconds, mix)
    solids = _oncoming(rng, scene)
    if rng.random() < 0.55:
        solids += _leading(rng, scene)
    for side in (-1, 1):
        if street.has_parking and rng.random() < 0.5:
            solids += _parked(rng, scene, side)
        # Who drives through a side road during the clip must not meet anyone there.
        if street.has_crossing and street.crossing_z > mine.travel + 9 and rng.random() < 0.6:
            solids += _on_side_road(rng, scene, side)
    return solids


def _oncoming(rng: np.random.Generator, scene: _Scene) -> list[Primitive]:
    """A queue at one speed in one of the other lanes."""
    solids: list[Primitive] = []
    s, speed = -float(rng.choice(scene.street.lanes)), float(rng.uniform(2.5, 9))
    z = float(rng.uniform(2, 24))
    while z < 90 + scene.mine.travel:
        kind = scene.draw(rng)
        z += kind.half_length
        path = along(scene.street, s, z - speed * scene.seconds, backwards=True)
        solids += kind.build(rng, path)
        z += kind.half_length + float(rng.uniform(4, 35))
    return solids


def _leading(rng: np.random.Generator, scene: _Scene) -> list[Primitive]:
    """One vehicle ahead in the camera's lane, nearly as fast."""
    kind, gap = scene.draw(rng), float(rng.uniform(6, 22))
    speed = scene.mine.speed * float(rng.uniform(0.85, 1.15))
    z = gap + kind.half_length + speed * scene.seconds
    return kind.build(rng, along(scene.street, scene.mine.lane, z))


def _parked(rng: np.random.Generator, scene: _Scene, side: int) -> list[Primitive]:
    """A row at the kerb, with gaps."""
    street = scene.street
    solids: list[Primitive] = []
    z = float(rng.uniform(-10, 2))
    while z < 55 + scene.mine.travel:
        kind = scene.draw(rng)
        z += kind.half_length
        away = abs(z - street.crossing_z) > street.crossing_half + kind.half_length
        if away and rng.random() < 0.75:
            here = np.full_like(scene.seconds, z)
            path = along(street, side * (street.half_width - 1.25), here, backwards=side < 0)
            solids += kind.build(rng, path)
        z += kind.half_length + float(rng.uniform(0.7, 3.0))
    return solids


def _on_side_road(rng: np.random.Generator, scene: _Scene, direction: int) -> list[Primitive]:
    """One vehicle that crosses ahead."""
    kind, street = scene.draw(rng), scene.street
    s = direction * (float(rng.uniform(-14, 8)) + float(rng.uniform(3, 8)) * scene.seconds)
    z = street.crossing_z - direction * street.crossing_half / 2
    return kind.build(rng, across(street, s, z, leftwards=direction < 0))
