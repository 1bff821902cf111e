"""Small worlds: named places, one solid or a few, a random street under them."""

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.world.camera import Camera, rotations_of
from pipeline.world.compose import World, random_light, random_street
from pipeline.world.scene import Material, Primitive, Shape, Skin, pack

GREY = Material(color=(0.3, 0.3, 0.3))


@pytest.fixture
def solid() -> Callable[..., Primitive]:
    """Makes a primitive on a path: `solid(shape, [(x, y, z), ...], [yaw, ...], label=13)`."""
    return _solid


def _solid(shape: Shape, centers: object, yaws: object, label: int = 13) -> Primitive:
    return Primitive(
        shape=shape,
        skin=Skin(label, GREY),
        centers=np.array(centers, np.float32),
        yaws=np.array(yaws, np.float32),
    )


@pytest.fixture
def view() -> Callable[..., Camera]:
    """Makes a camera: `view([(x, y, z), ...], yaws, pitch=0, size=(rows, columns))`."""
    return _view


def _view(
    positions: object,
    yaws: object = (0.0,),
    pitch: float = 0.0,
    size: tuple[int, int] = (21, 37),
) -> Camera:
    places = np.array(positions, np.float32)
    angles = np.broadcast_to(np.array(yaws, float), len(places))
    return Camera(
        height=size[0],
        width=size[1],
        focal=size[1] * 0.8,
        positions=places,
        rotations=rotations_of(angles, np.full(len(places), pitch), np.zeros(len(places))),
    )


@pytest.fixture
def make_world() -> Callable[..., World]:
    """Makes a world of some primitives and a camera."""
    return _world


def _world(primitives: list[Primitive], camera: Camera, seed: int = 0) -> World:
    rng = np.random.default_rng(seed)
    return World(
        street=random_street(rng),
        solids=pack(primitives),
        light=random_light(rng),
        camera=camera,
    )
