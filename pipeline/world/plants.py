"""Trees and bushes."""

import numpy as np

from pipeline.world import palette
from pipeline.world.place import Place
from pipeline.world.scene import Primitive, Skin, ball, tube

VEGETATION = 8


def leaves(rng: np.random.Generator) -> Skin:
    """The skin of one plant."""
    return Skin(VEGETATION, palette.foliage(palette.leaf_color(rng)))


def tree(rng: np.random.Generator, place: Place, s: float, z: float) -> list[Primitive]:
    """A trunk with a crown of a few round masses of leaves, or a slender one."""
    stem, thick = float(rng.uniform(1.8, 3.2)), float(rng.uniform(0.14, 0.32))
    crown = float(rng.uniform(1.2, 2.6))
    green = leaves(rng)
    bark = Skin(VEGETATION, palette.plain(palette.bark_color(rng), 0.3, 4))
    trunk = place.solid((s, z, 0), tube(thick, stem + crown * 0.5), bark)
    if rng.random() < 0.18:
        slender = ball(crown * 0.75, crown * 2.2, crown * 0.75, fray=0.55)
        return [trunk, place.solid((s, z, stem + crown * 1.4), slender, green)]
    return [trunk, *(_mass(rng, place, (s, z, stem), crown, green) for _ in range(_masses(rng)))]


def _masses(rng: np.random.Generator) -> int:
    return int(rng.integers(2, 5))


def _mass(
    rng: np.random.Generator,
    place: Place,
    foot: tuple[float, float, float],
    crown: float,
    green: Skin,
) -> Primitive:
    """One part of a crown that is about `crown` metres wide and begins at `foot`."""
    s, z, y = foot
    wide, high, long = (crown * rng.uniform([0.55, 0.5, 0.55], [1, 0.9, 1])).tolist()
    ds, dz = (rng.uniform(-0.55, 0.55, 2) * crown).tolist()
    up = crown * float(rng.uniform(0.45, 1.25))
    return place.solid((s + ds, z + dz, y + up), ball(wide, high, long, fray=0.55), green)


def bush(rng: np.random.Generator, place: Place, s: float, z: float) -> Primitive:
    """A round bush."""
    size = float(rng.uniform(0.6, 1.3))
    return place.solid((s, z, size * 0.5), ball(size * 1.3, size, size, fray=0.4), leaves(rng))
