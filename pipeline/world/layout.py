"""A random street: what stands where. Nothing here moves; movers are added by `traffic`.

Everything stands at (s, z): s metres right of the middle of the road, z metres along it.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.world import palette
from pipeline.world.scene import Floats, Kind, Material, Primitive
from pipeline.world.street import Street

BUILDING, WALL, FENCE, POLE, SIGN, VEGETATION = 2, 3, 4, 5, 7, 8


@dataclass(frozen=True)
class Place:
    """Turns (s, z) on a street into fixed paths of T frames."""

    street: Street
    frames: int

    def at(self, s: float, z: float, y: float = 0.0) -> Floats:
        """Positions, (T, 3)."""
        slope = self.street.slope(np.float64(z))
        lean = np.hypot(1.0, slope)
        point = [self.street.center(np.float64(z)) + s / lean, y, z - s * slope / lean]
        return np.tile(np.array(point, np.float32), (self.frames, 1))

    def yaw(self, z: float) -> float:
        """Heading of the road."""
        return float(np.arctan(self.street.slope(np.float64(z))))

    def solid(
        self,
        kind: Kind,
        where: tuple[float, float, float],
        size: tuple[float, float, float],
        *,
        label: int,
        material: Material,
        taper: tuple[float, float] = (0.0, 0.0),
        turn: float = 0.0,
        fray: float = 0.0,
        casts_shadow: bool = True,
    ) -> Primitive:
        """A primitive at (s, z, y), in line with the road but for `turn`."""
        s, z, y = where
        return Primitive(
            kind=kind,
            label=label,
            size=size,
            centers=self.at(s, z, y),
            yaws=np.full(self.frames, self.yaw(z) + turn, np.float32),
            material=material,
            taper=taper,
            fray=fray,
            casts_shadow=casts_shadow,
        )


def roadside(rng: np.random.Generator, place: Place, z_end: float) -> list[Primitive]:
    """Everything that stands beside the road from behind the camera to `z_end`."""
    street = place.street
    weights = rng.dirichlet([1.8, 1.3, 1.8, 0.6, 0.6])
    solids: list[Primitive] = []
    for side, bands in ((-1, street.left), (1, street.right)):
        line = bands.edges[1] + float(rng.uniform(0.3, 1.5))
        z = float(rng.uniform(-16, -10))
        while z < z_end:
            length = float(rng.uniform(7, 20))
            middle = z + length / 2
            if abs(middle - street.crossing_z) > street.crossing_half + length / 2 + 2:
                build = _FRONTAGES[int(rng.choice(len(_FRONTAGES), p=weights))]
                solids += build(rng, place, side, line, z, length)
            z += length + float(rng.choice([0.0, 1.5, 4.0]))
        if rng.random() < 0.22:
            solids += _railing(rng, place, side)
        solids += _furniture(rng, place, side, z_end)
    return solids + _backdrop(rng, place, z_end)


def _house(rng: np.random.Generator, place: Place, side: int, line: float, z: float,
           length: float) -> list[Primitive]:
    """A row house or block on the building line."""
    tall = float(rng.choice([rng.uniform(3.5, 7), rng.uniform(7, 22)]))
    deep = float(rng.uniform(3.5, 6))
    skin = palette.facade(rng, tall, blank=bool(rng.random() < 0.22))
    s = side * (line + deep)
    parts = [place.solid(Kind.BOX, (s, z + length / 2, 0), (deep, tall, length / 2),
                         label=BUILDING, material=skin)]
    if tall < 9 and rng.random() < 0.6:
        rise = float(rng.uniform(1.5, 3))
        roof = palette.plain(palette.shade(rng, (0.2, 0.1, 0.07), 0.5), 0.2)
        parts.append(place.solid(Kind.BOX, (s, z + length / 2, tall), (deep + 0.3, rise, length / 2),
                                 label=BUILDING, material=roof,
                                 taper=(deep / rise * 0.98, float(rng.choice([0.0, 0.6])))))
    return parts


def _walled(rng: np.random.Generator, place: Place, side: int, line: float, z: float,
            length: float) -> list[Primitive]:
    """A free-standing wall with something behind it."""
    tall = float(rng.uniform(1.6, 3.6))
    wall = place.solid(Kind.BOX, (side * (line + 0.2), z + length / 2, 0), (0.2, tall, length / 2),
                       label=WALL, material=palette.low_wall(rng))
    return [wall, *_behind(rng, place, side, line + 2, z, length)]


def _fenced(rng: np.random.Generator, place: Place, side: int, line: float, z: float,
            length: float) -> list[Primitive]:
    """A garden fence with something behind it."""
    tall = float(rng.uniform(1.0, 2.1))
    fence = place.solid(Kind.BOX, (side * (line + 0.08), z + length / 2, 0), (0.08, tall, length / 2),
                        label=FENCE, material=palette.boards(rng))
    return [fence, *_behind(rng, place, side, line + 2, z, length)]


def _hedged(rng: np.random.Generator, place: Place, side: int, line: float, z: float,
            length: float) -> list[Primitive]:
    """A clipped hedge with something behind it."""
    tall, deep = float(rng.uniform(0.9, 2.4)), float(rng.uniform(0.4, 0.9))
    hedge = place.solid(Kind.BOX, (side * (line + deep), z + length / 2, 0),
                        (deep, tall, length / 2), label=VEGETATION,
                        material=palette.foliage(palette.leaf_color(rng)), taper=(0.08, 0.03))
    return [hedge, *_behind(rng, place, side, line + 3, z, length)]


def _open(rng: np.random.Generator, place: Place, side: int, line: float, z: float,
          length: float) -> list[Primitive]:
    """Grass with trees and bushes."""
    solids: list[Primitive] = []
    for _ in range(int(rng.integers(1, 4))):
        s = side * (line + float(rng.uniform(1, 12)))
        solids += tree(rng, place, s, z + float(rng.uniform(0, length)))
    if rng.random() < 0.6:
        solids.append(_bush(rng, place, side * (line + 1), z + length / 2))
    return solids


def _railing(rng: np.random.Generator, place: Place, side: int) -> list[Primitive]:
    """A railing along the kerb."""
    tall, look = float(rng.uniform(0.9, 1.3)), palette.boards(rng)
    s = side * (place.street.half_width + 0.25)
    panels = np.arange(float(rng.uniform(-6, 10)), float(rng.uniform(25, 60)), 4.0)
    return [
        place.solid(Kind.BOX, (s, float(z), 0), (0.07, tall, 1.9), label=FENCE, material=look)
        for z in panels
        if abs(z - place.street.crossing_z) > place.street.crossing_half + 2
    ]


_FRONTAGES = (_house, _walled, _fenced, _hedged, _open)


def _behind(rng: np.random.Generator, place: Place, side: int, line: float, z: float,
            length: float) -> list[Primitive]:
    choice = rng.random()
    if choice < 0.45:
        return _house(rng, place, side, line + float(rng.uniform(0, 8)), z, length * 0.8)
    if choice < 0.85:
        return tree(rng, place, side * (line + float(rng.uniform(0.5, 6))), z + length / 2)
    return []


def tree(rng: np.random.Generator, place: Place, s: float, z: float) -> list[Primitive]:
    """A trunk with a crown of a few round masses of leaves."""
    stem, thick = float(rng.uniform(1.8, 3.2)), float(rng.uniform(0.14, 0.32))
    crown = float(rng.uniform(1.2, 2.6))
    leaves = palette.foliage(palette.leaf_color(rng))
    parts = [place.solid(Kind.CYLINDER, (s, z, 0), (thick, stem + crown * 0.5, thick),
                         label=VEGETATION, material=palette.plain(palette.bark_color(rng), 0.3, 4))]
    if rng.random() < 0.18:
        size = (crown * 0.75, crown * 2.2, crown * 0.75)
        parts.append(place.solid(Kind.ELLIPSOID, (s, z, stem + crown * 1.4), size,
                                 label=VEGETATION, material=leaves, fray=0.55))
        return parts
    for _ in range(int(rng.integers(2, 5))):
        size = (crown * float(rng.uniform(0.55, 1)), crown * float(rng.uniform(0.5, 0.9)),
                crown * float(rng.uniform(0.55, 1)))
        ds, dz = rng.uniform(-0.55, 0.55, 2) * crown
        y = stem + crown * float(rng.uniform(0.45, 1.25))
        parts.append(place.solid(Kind.ELLIPSOID, (s + float(ds), z + float(dz), y), size,
                                 label=VEGETATION, material=leaves, fray=0.55))
    return parts


def _bush(rng: np.random.Generator, place: Place, s: float, z: float) -> Primitive:
    size = float(rng.uniform(0.6, 1.3))
    return place.solid(Kind.ELLIPSOID, (s, z, size * 0.5), (size * 1.3, size, size),
                       label=VEGETATION, material=palette.foliage(palette.leaf_color(rng)), fray=0.4)


def _furniture(rng: np.random.Generator, place: Place, side: int, z_end: float) -> list[Primitive]:
    """Lamp posts, sign posts and street trees along the kerb."""
    street = place.street
    solids: list[Primitive] = []
    gap = float(rng.uniform(8, 22))
    kerb = street.half_width + float(rng.uniform(0.45, 0.9))
    color = palette.bark_color(rng) if rng.random() < 0.5 else palette.masonry(rng)
    has_trees = rng.random() < 0.45
    z = float(rng.uniform(-6, 6))
    index = 0
    while z < min(z_end, 75):
        if abs(z - street.crossing_z) > street.crossing_half:
            if has_trees and index % 2:
                solids += tree(rng, place, side * (kerb + 0.3), z)
            else:
                solids += _post(rng, place, side * kerb, z, side, palette.plain(color, 0.15, 3))
        z += gap * float(rng.uniform(0.6, 1.3)) * (0.6 if has_trees else 1.0)
        index += 1
    return solids


def _post(rng: np.random.Generator, place: Place, s: float, z: float, side: int,
          material: Material) -> list[Primitive]:
    thick = float(rng.uniform(0.14, 0.21))
    if rng.random() < 0.45:
        tall = float(rng.uniform(2.4, 3.4))
        wide, high = float(rng.uniform(0.45, 0.85)), float(rng.uniform(0.7, 1.3))
        face = Material(color=palette.paint(rng), accent=(0.6, 0.6, 0.6), noise_amount=0.05,
                        pane_u=2 * wide, pane_v=high, pane_fill_u=0.75, pane_fill_v=0.35)
        board = place.solid(Kind.BOX, (s, z, tall - 0.3), (wide, high, 0.06), label=SIGN,
                            material=face, turn=float(rng.uniform(-0.3, 0.3)))
        post = place.solid(Kind.CYLINDER, (s, z, 0), (thick, tall, thick), label=POLE,
                           material=material)
        return [post, board]
    tall = float(rng.uniform(5, 8.5))
    post = place.solid(Kind.CYLINDER, (s, z, 0), (thick, tall, thick), label=POLE,
                       material=material)
    if rng.random() < 0.5:
        return [post]
    reach = float(rng.uniform(0.7, 1.4))
    arm = place.solid(Kind.BOX, (s - side * reach, z, tall - 0.2), (reach, 0.18, 0.14), label=POLE,
                      material=material)
    return [post, arm]


def _backdrop(rng: np.random.Generator, place: Place, z_end: float) -> list[Primitive]:
    """Houses and groves far ahead that close the view."""
    solids: list[Primitive] = []
    for s in np.arange(-70, 71, 14.0):
        z = z_end + float(rng.uniform(5, 50))
        wide = float(rng.uniform(5, 9))
        if rng.random() < 0.5:
            tall = float(rng.uniform(6, 20))
            solids.append(place.solid(Kind.BOX, (float(s), z, 0), (wide, tall, 5), label=BUILDING,
                                      material=palette.facade(rng, tall, blank=False),
                                      casts_shadow=False))
        else:
            tall = float(rng.uniform(4, 9))
            leaves = palette.foliage(palette.leaf_color(rng))
            solids.append(place.solid(Kind.ELLIPSOID, (float(s), z, tall * 0.3),
                                      (wide * 1.3, tall, 5), label=VEGETATION, material=leaves, fray=0.4,
                                      casts_shadow=False))
    return solids
