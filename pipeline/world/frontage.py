"""What lines a road: houses, walls, fences, hedges and open ground."""

from collections.abc import Callable

import numpy as np

from pipeline.world import palette
from pipeline.world.place import Place, Plot
from pipeline.world.plants import bush, leaves, tree
from pipeline.world.scene import Primitive, Skin, ball, box
from pipeline.world.street import Street

BUILDING, WALL, FENCE = 2, 3, 4
_KINDS_WEIGHT = (1.8, 2.0, 1.8, 0.6, 0.5)


def line_of_plots(rng: np.random.Generator, street: Street, side: int, z_end: float) -> list[Plot]:
    """Neighbouring plots on one side, from behind the start to `z_end`, but for the side road."""
    bands = street.left if side < 0 else street.right
    line = bands.edges[1] + float(rng.uniform(0.3, 1.5))
    z = float(rng.uniform(-16, -10))
    plots = []
    while z < z_end:
        plot = Plot(side, line, z, length=float(rng.uniform(7, 20)))
        if abs(plot.middle - street.crossing_z) > street.crossing_half + plot.length / 2 + 2:
            plots.append(plot)
        z += plot.length + float(rng.choice([0.0, 1.5, 4.0]))
    return plots


def built(rng: np.random.Generator, place: Place, plots: list[Plot]) -> list[Primitive]:
    """Something on every plot; each street has its own mix."""
    weights = rng.dirichlet(_KINDS_WEIGHT)
    solids: list[Primitive] = []
    for plot in plots:
        solids += _KINDS[int(rng.choice(len(_KINDS), p=weights))](rng, place, plot)
    return solids


def _house(rng: np.random.Generator, place: Place, plot: Plot) -> list[Primitive]:
    """A row house or a block on the building line."""
    tall = float(rng.choice([rng.uniform(3.5, 7), rng.uniform(7, 22)]))
    deep, half = float(rng.uniform(3.5, 6)), plot.length / 2
    front = palette.facade(rng, tall, blank=bool(rng.random() < 0.12))
    s = plot.side * (plot.line + deep)
    parts = [place.solid((s, plot.middle, 0), box(deep, tall, half), Skin(BUILDING, front))]
    if tall < 9 and rng.random() < 0.6:
        rise = float(rng.uniform(1.5, 3))
        tiles = Skin(BUILDING, palette.plain(palette.shade(rng, (0.2, 0.1, 0.07), 0.5), 0.2))
        taper = (deep / rise * 0.98, float(rng.choice([0.0, 0.6])))
        parts.append(place.solid((s, plot.middle, tall), box(deep + 0.3, rise, half, taper), tiles))
    return parts


def _walled(rng: np.random.Generator, place: Place, plot: Plot) -> list[Primitive]:
    """A free-standing wall with something behind it."""
    tall, half = float(rng.uniform(1.9, 3.2)), plot.length / 2
    s = plot.side * (plot.line + 0.2)
    skin = Skin(WALL, palette.low_wall(rng))
    wall = place.solid((s, plot.middle, 0), box(0.2, tall, half), skin)
    cap = Skin(WALL, palette.plain(palette.shade(rng, (0.4, 0.38, 0.35), 0.4)))
    coping = place.solid((s, plot.middle, tall), box(0.3, 0.2, half), cap)
    return [wall, coping, *_behind(rng, place, plot.set_back(2))]


def _fenced(rng: np.random.Generator, place: Place, plot: Plot) -> list[Primitive]:
    """A garden fence with something behind it."""
    shape = box(0.08, float(rng.uniform(1.1, 2.0)), plot.length / 2)
    where = (plot.side * (plot.line + 0.08), plot.middle, 0.0)
    fence = place.solid(where, shape, Skin(FENCE, palette.boards(rng)))
    return [fence, *_behind(rng, place, plot.set_back(2))]


def _hedged(rng: np.random.Generator, place: Place, plot: Plot) -> list[Primitive]:
    """A clipped hedge with something behind it."""
    tall, deep = float(rng.uniform(0.9, 2.4)), float(rng.uniform(0.4, 0.9))
    where = (plot.side * (plot.line + deep), plot.middle, 0.0)
    shape = box(deep, tall, plot.length / 2, taper=(0.08, 0.03))
    return [place.solid(where, shape, leaves(rng)), *_behind(rng, place, plot.set_back(3))]


def _open(rng: np.random.Generator, place: Place, plot: Plot) -> list[Primitive]:
    """Grass with trees and bushes."""
    solids: list[Primitive] = []
    for _ in range(int(rng.integers(1, 4))):
        s = plot.side * (plot.line + float(rng.uniform(1, 12)))
        solids += tree(rng, place, s, plot.z + float(rng.uniform(0, plot.length)))
    if rng.random() < 0.6:
        solids.append(bush(rng, place, plot.side * (plot.line + 1), plot.middle))
    return solids


def _behind(rng: np.random.Generator, place: Place, plot: Plot) -> list[Primitive]:
    choice = rng.random()
    if choice < 0.45:
        return _house(rng, place, plot.set_back(float(rng.uniform(0, 8))))
    if choice < 0.85:
        s = plot.side * (plot.line + float(rng.uniform(0.5, 6)))
        return tree(rng, place, s, plot.middle)
    return []


_KINDS: tuple[Callable[[np.random.Generator, Place, Plot], list[Primitive]], ...] = (
    _house,
    _walled,
    _fenced,
    _hedged,
    _open,
)


def railings(rng: np.random.Generator, place: Place, side: int, travel: float) -> list[Primitive]:
    """A railing along the kerb, in panels that follow the road."""
    street = place.street
    shape = box(0.07, float(rng.uniform(0.9, 1.3)), 1.9)
    skin = Skin(FENCE, palette.boards(rng))
    s = side * (street.half_width + 0.25)
    panels = np.arange(
        float(rng.uniform(-6, 10)), float(rng.uniform(25, 60)) + travel, 4.0
    ).tolist()
    away = [z for z in panels if abs(z - street.crossing_z) > street.crossing_half + 2]
    return [place.solid((s, z, 0), shape, skin) for z in away]


def backdrop(rng: np.random.Generator, place: Place, z_end: float) -> list[Primitive]:
    """Houses and groves far ahead that close the view."""
    solids: list[Primitive] = []
    for s in range(-70, 71, 14):
        z, wide = z_end + float(rng.uniform(5, 50)), float(rng.uniform(5, 9))
        if rng.random() < 0.5:
            tall = float(rng.uniform(6, 20))
            front = palette.facade(rng, tall, blank=False)
            skin = Skin(BUILDING, front, casts_shadow=False)
            solids.append(place.solid((s, z, 0), box(wide, tall, 5), skin))
        else:
            tall = float(rng.uniform(4, 9))
            shape = ball(wide * 1.3, tall, 5, fray=0.4)
            solids.append(place.solid((s, z, tall * 0.3), shape, leaves(rng)))
    return solids
