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


def vehicles(
    rng: np.random.Generator, street: Street, mine: Drive, seconds: Floats
) -> list[Primitive]:
    """All vehicles but the camera's; each street has its own mix of kinds."""
    mix = rng.dirichlet([kind.weight for kind in _KINDS])

    def draw() -> _Kind:
        return _KINDS[int(rng.choice(len(_KINDS), p=mix))]

    solids = _oncoming(rng, street, mine, seconds, draw)
    if rng.random() < 0.55:
        lead, gap = draw(), float(rng.uniform(6, 22))
        speed = mine.speed * float(rng.uniform(0.75, 1.15))
        z = gap + lead.half_length + speed * seconds
        solids += lead.build(rng, along(street, mine.lane, z))
    for side in (-1, 1):
        if street.has_parking and rng.random() < 0.5:
            solids += _parked(rng, street, side, seconds, draw)
        if street.has_crossing and rng.random() < 0.6:
            solids += _on_side_road(rng, street, side, seconds, draw())
    return solids


def _oncoming(
    rng: np.random.Generator,
    street: Street,
    mine: Drive,
    seconds: Floats,
    draw: Callable[[], _Kind],
) -> list[Primitive]:
    solids: list[Primitive] = []
    speed = float(rng.uniform(2.5, 9))
    z = float(rng.uniform(2, 24))
    while z < 90:
        kind = draw()
        z += kind.half_length
        path = along(street, -mine.lane, z - speed * seconds, backwards=True)
        solids += kind.build(rng, path)
        z += kind.half_length + float(rng.uniform(4, 35))
    return solids


def _parked(
    rng: np.random.Generator, street: Street, side: int, seconds: Floats, draw: Callable[[], _Kind]
) -> list[Primitive]:
    """A row at the kerb, with gaps."""
    solids: list[Primitive] = []
    z = float(rng.uniform(-10, 2))
    while z < 60:
        kind = draw()
        z += kind.half_length
        away = abs(z - street.crossing_z) > street.crossing_half + kind.half_length
        if away and rng.random() < 0.75:
            s = side * (street.half_width - 1.2)
            path = along(street, s, np.full_like(seconds, z), backwards=side < 0)
            solids += kind.build(rng, path)
        z += kind.half_length + float(rng.uniform(0.7, 3.0))
    return solids


def _on_side_road(
    rng: np.random.Generator, street: Street, direction: int, seconds: Floats, kind: _Kind
) -> list[Primitive]:
    """One vehicle that crosses ahead."""
    s = direction * (float(rng.uniform(-14, 8)) + float(rng.uniform(3, 8)) * seconds)
    z = street.crossing_z - direction * street.crossing_half / 2
    return kind.build(rng, across(street, s, z, leftwards=direction < 0))
