"""People: along the pavements, alone or in twos, and some who cross ahead of the camera."""

import numpy as np

from pipeline.world.drive import Drive, across, along
from pipeline.world.movers import person
from pipeline.world.scene import Floats, Primitive
from pipeline.world.street import Street

_STAND, _WALK, _RUN = 0.15, 0.60, 0.25
"""Shares of people by how they move."""


def people(
    rng: np.random.Generator, street: Street, mine: Drive, seconds: Floats
) -> list[Primitive]:
    """All people of a clip."""
    solids: list[Primitive] = []
    for _ in range(int(rng.integers(3, 9))):
        solids += _walkers(rng, street, mine, seconds)
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.35, 0.3, 0.2, 0.15]))):
        direction = int(rng.choice([-1, 1]))
        pace = float(rng.uniform(0.8, 3.2))
        s = float(rng.uniform(-5, 5)) + direction * pace * seconds
        z = mine.travel + float(rng.uniform(7, 17))
        solids += person(rng, across(street, s, z, leftwards=direction < 0), seconds)
    return solids


def _walkers(
    rng: np.random.Generator, street: Street, mine: Drive, seconds: Floats
) -> list[Primitive]:
    """One or two people side by side beside the road, near enough to be seen well."""
    side = int(rng.choice([-1, 1]))
    s = street.half_width + float(rng.uniform(0.6, 3.0))
    z = float(rng.uniform(7, 19)) + float(rng.uniform(0.2, 0.9)) * mine.travel
    paces = [0.0, rng.uniform(0.7, 1.6), rng.uniform(1.8, 3.2)]
    pace = float(rng.choice(paces, p=[_STAND, _WALK, _RUN]))
    backwards = bool(rng.random() < 0.5)
    way = z + (-pace if backwards else pace) * seconds
    solids: list[Primitive] = []
    for mate in range(int(rng.choice([1, 2], p=[0.65, 0.35]))):
        path = along(street, side * (s + 0.62 * mate), way + 0.2 * mate, backwards=backwards)
        solids += person(rng, path, seconds)
    return solids
