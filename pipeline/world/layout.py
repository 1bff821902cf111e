"""Everything of a street that stands still."""

import numpy as np

from pipeline.world import palette
from pipeline.world.frontage import backdrop, built, line_of_plots, railings
from pipeline.world.place import Place
from pipeline.world.plants import tree
from pipeline.world.scene import Material, Primitive, Skin, box, tube

POLE, SIGN = 5, 7
_POSTS_REACH = 42.0
"""No posts stand further ahead than this: they would be thinner than a pixel."""


def roadside(rng: np.random.Generator, place: Place, travel: float) -> list[Primitive]:
    """Everything beside the road for a camera that drives `travel` metres from z = 0."""
    z_end = travel + float(rng.uniform(70, 120))
    solids: list[Primitive] = []
    for side in (-1, 1):
        solids += built(rng, place, line_of_plots(rng, place.street, side, z_end))
        if rng.random() < 0.22:
            solids += railings(rng, place, side, travel)
        solids += _kerbside(rng, place, side, travel + _POSTS_REACH)
    return solids + backdrop(rng, place, z_end)


def _kerbside(rng: np.random.Generator, place: Place, side: int, z_end: float) -> list[Primitive]:
    """Lamp posts, sign posts and street trees along the kerb up to `z_end`."""
    street = place.street
    gap = float(rng.uniform(8, 22))
    kerb = street.half_width + float(rng.uniform(0.45, 0.9))
    color = palette.post_color(rng)
    material = palette.plain(color, 0.15, 3)
    tree_row = rng.random() < 0.45
    solids: list[Primitive] = []
    z, index = float(rng.uniform(-6, 6)), 0
    while z < z_end:
        if abs(z - street.crossing_z) > street.crossing_half:
            if tree_row and index % 2:
                solids += tree(rng, place, side * (kerb + 0.3), z)
            elif rng.random() < 0.45:
                solids += _sign_post(rng, place, side * kerb, z, material)
            else:
                solids += _lamp_post(rng, place, side * kerb, z, material)
        z += gap * float(rng.uniform(0.6, 1.3)) * (0.6 if tree_row else 1.0)
        index += 1
    return solids


def _lamp_post(
    rng: np.random.Generator, place: Place, s: float, z: float, material: Material
) -> list[Primitive]:
    tall = float(rng.uniform(5, 8.5))
    skin = Skin(POLE, material)
    post = place.solid((s, z, 0), tube(float(rng.uniform(0.16, 0.24)), tall), skin)
    if rng.random() < 0.5:
        return [post]
    reach = float(rng.uniform(0.7, 1.4))
    arm = place.solid((s - np.sign(s) * reach, z, tall - 0.2), box(reach, 0.18, 0.14), skin)
    return [post, arm]


def _sign_post(
    rng: np.random.Generator, place: Place, s: float, z: float, material: Material
) -> list[Primitive]:
    tall = float(rng.uniform(2.4, 3.4))
    wide, high = float(rng.uniform(0.6, 0.95)), float(rng.uniform(1.0, 1.6))
    face = Material(
        color=palette.sign_color(rng),
        accent=(0.75, 0.75, 0.75),
        noise_amount=0.05,
        pane_u=2 * wide,
        pane_v=high,
        pane_fill_u=0.75,
        pane_fill_v=0.35,
    )
    post = place.solid((s, z, 0), tube(float(rng.uniform(0.16, 0.24)), tall), Skin(POLE, material))
    turn = float(rng.uniform(-0.3, 0.3))
    board = place.solid((s, z, tall - 0.3), box(wide, high, 0.06), Skin(SIGN, face), turn)
    return [post, board]
