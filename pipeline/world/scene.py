"""What a street is made of: solid primitives with materials and a path through time.

World axes: x right, y up, z along the street, in metres. T frames, P primitives.
"""

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
"""float32 in images and rays, float64 where a world is laid out."""
Color = tuple[float, float, float]


class Kind(IntEnum):
    """The shape of a primitive."""

    BOX = 0
    CYLINDER = 1
    ELLIPSOID = 2


@dataclass(frozen=True)
class Material:
    """How a surface looks; colours are linear reflectances in 0..1, lengths are metres."""

    color: Color
    accent: Color = (0.1, 0.1, 0.1)
    """Colour of joints and panes."""
    noise_scale: float = 1.0
    """Cells of value noise per metre."""
    noise_amount: float = 0.15
    """Relative change of brightness by noise."""
    joint_u: float = 0.0
    """Distance of upright joints (bricks, planks, panels); 0 draws none."""
    joint_v: float = 0.0
    """Distance of level joints; 0 draws none."""
    joint_width: float = 0.05
    joint_strength: float = 0.0
    """Share of the accent colour in a joint."""
    stagger: float = 0.0
    """Shift of every second row, in `joint_u`."""
    pane_u: float = 0.0
    """Distance of window columns; 0 draws none."""
    pane_v: float = 1.0
    """Distance of window rows."""
    pane_fill_u: float = 0.5
    pane_fill_v: float = 0.5
    pane_bottom: float = 0.0
    """Height at which the rows of windows begin."""
    pane_top: float = 100.0
    """Height at which they end."""
    pane_strength: float = 0.9
    lights: float = 0.0
    """1 draws head and tail lamps and a number plate on the two end faces."""
    wide_ends: float = 0.0
    """1 makes one pane of a whole end face, as vehicles have it."""
    plinth: float = 0.0
    """Height of a darker foot."""
    leafy: float = 0.0
    """1 roughens the shading like foliage."""


@dataclass(frozen=True)
class Shape:
    """A convex form, in metres.

    A box and a cylinder stand on their centre point, an ellipsoid surrounds it.
    """

    kind: Kind
    size: tuple[float, float, float]
    """Half width, height, half length; of a cylinder the radius comes first, of an ellipsoid all
    three are half axes."""
    taper: tuple[float, float] = (0.0, 0.0)
    """How much a box narrows per metre of height, on each side: in width and in length."""
    fray: float = 0.0
    """Share of the rim of an ellipsoid that is torn into tufts, 0..1."""


@dataclass(frozen=True)
class Skin:
    """What a primitive is and how it looks."""

    label: int
    """Cityscapes train id."""
    material: Material
    casts_shadow: bool = True


@dataclass(frozen=True)
class Primitive:
    """One convex solid and where it is in every frame."""

    shape: Shape
    skin: Skin
    centers: Floats
    """(T, 3)."""
    yaws: Floats
    """(T,), turn about the y axis in radians; 0 looks along +z."""


def box(
    half_width: float,
    height: float,
    half_length: float,
    taper: tuple[float, float] = (0.0, 0.0),
) -> Shape:
    """A box that stands on its centre point."""
    return Shape(Kind.BOX, (half_width, height, half_length), taper)


def tube(radius: float, height: float) -> Shape:
    """An upright cylinder that stands on its centre point."""
    return Shape(Kind.CYLINDER, (radius, height, radius))


def ball(half_width: float, half_height: float, half_length: float, fray: float = 0.0) -> Shape:
    """An ellipsoid around its centre point."""
    return Shape(Kind.ELLIPSOID, (half_width, half_height, half_length), fray=fray)


@dataclass(frozen=True)
class Solids:
    """All primitives of a clip as arrays, so that whole images can look them up at once."""

    kinds: NDArray[np.int8]
    labels: NDArray[np.uint8]
    sizes: Floats
    """(P, 3)."""
    tapers: Floats
    """(P, 2)."""
    frays: Floats
    """(P,)."""
    centers: Floats
    """(T, P, 3)."""
    yaws: Floats
    """(T, P)."""
    materials: dict[str, Floats]
    """Field of `Material` -> (P,) or (P, 3)."""
    casts_shadow: NDArray[np.bool_]


def pack(primitives: list[Primitive]) -> Solids:
    """Turn a list of primitives into arrays."""
    materials = {
        field.name: np.array([getattr(p.skin.material, field.name) for p in primitives], np.float32)
        for field in fields(Material)
    }
    return Solids(
        kinds=np.array([p.shape.kind for p in primitives], np.int8),
        labels=np.array([p.skin.label for p in primitives], np.uint8),
        sizes=np.array([p.shape.size for p in primitives], np.float32),
        tapers=np.array([p.shape.taper for p in primitives], np.float32),
        frays=np.array([p.shape.fray for p in primitives], np.float32),
        centers=np.stack([p.centers for p in primitives], axis=1).astype(np.float32),
        yaws=np.stack([p.yaws for p in primitives], axis=1).astype(np.float32),
        materials=materials,
        casts_shadow=np.array([p.skin.casts_shadow for p in primitives], np.bool_),
    )
