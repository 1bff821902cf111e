"""The culled float32 ray caster against one ray at a time, every solid, in float64."""

import numpy as np
import pytest

from pipeline.world.raycast import GROUND, GROUND_LIMIT, NEAR, SKY, cast
from pipeline.world.scene import Kind, Solids, ball, box, pack, tube


def first_hit(solids: Solids, frame: int, eye: np.ndarray, ray: np.ndarray) -> tuple[int, float]:
    """Index and depth of what one ray meets first, by definition."""
    best, depth = SKY, np.inf
    if ray[1] < 0 and -eye[1] / ray[1] < GROUND_LIMIT:
        best, depth = GROUND, -eye[1] / ray[1]
    for p in range(len(solids.kinds)):
        yaw = float(solids.yaws[frame, p])
        turn = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
        origin = turn @ (eye - solids.centers[frame, p])
        hit = enter(solids, p, origin, turn @ ray)
        if NEAR < hit < depth:
            best, depth = p, hit
    return best, depth


def enter(solids: Solids, p: int, origin: np.ndarray, ray: np.ndarray) -> float:
    """Depth at which a ray enters one solid, in its own axes; infinite for a miss."""
    size = solids.sizes[p].astype(float)
    if solids.kinds[p] == Kind.BOX:
        return enter_half_spaces(box_planes(size, solids.tapers[p]), origin, ray)
    scale = np.array([size[0], np.inf, size[0]]) if solids.kinds[p] == Kind.CYLINDER else size
    o, d = origin / scale, ray / scale
    a, b, c = d @ d, o @ d, o @ o - 1
    if b * b < a * c:
        return np.inf
    t = (-b - np.sqrt(b * b - a * c)) / a
    if solids.kinds[p] == Kind.CYLINDER and not 0 <= origin[1] + t * ray[1] <= size[1]:
        return np.inf
    return t


def box_planes(size: np.ndarray, taper: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Half spaces normal . x <= offset."""
    return [
        (np.array([1, taper[0], 0]), size[0]),
        (np.array([-1, taper[0], 0]), size[0]),
        (np.array([0, taper[1], 1]), size[2]),
        (np.array([0, taper[1], -1]), size[2]),
        (np.array([0, -1, 0]), 0.0),
        (np.array([0, 1, 0]), size[1]),
    ]


def enter_half_spaces(planes: list, origin: np.ndarray, ray: np.ndarray) -> float:
    near, far = -np.inf, np.inf
    for normal, offset in planes:
        speed, room = normal @ ray, offset - normal @ origin
        if speed < 0:
            near = max(near, room / speed)
        elif speed > 0:
            far = min(far, room / speed)
        elif room < 0:
            return np.inf
    return near if near < far else np.inf


SHAPES = {
    "box": box(1.0, 2.0, 2.5),
    "roof": box(1.5, 2.0, 2.0, taper=(0.5, 0.2)),
    "tube": tube(0.6, 4.0),
    "ball": ball(1.2, 0.8, 2.0),
}


@pytest.mark.parametrize("pitch", [-0.2, 0.1])
@pytest.mark.parametrize("names", [[name] for name in SHAPES] + [list(SHAPES) * 2])
def test_first_hits_match_the_definition(names, pitch, solid, view) -> None:
    random = np.random.default_rng(len(names))
    solids = pack(
        [
            solid(
                SHAPES[name],
                [random.uniform([-4, -0.3, 3], [4, 1.5, 14])],
                [random.uniform(-3, 3)],
            )
            for name in names
        ]
    )
    camera = view([(0.2, 1.6, -0.5)], [0.1], pitch)

    hits = cast(solids, camera, 0, samples=1)

    eye = camera.positions[0].astype(float)
    expected = [first_hit(solids, 0, eye, ray) for ray in hits.rays.reshape(3, -1).T.astype(float)]
    ids = np.array([index for index, _ in expected]).reshape(hits.ids.shape)
    depths = np.array([depth for _, depth in expected]).reshape(hits.ids.shape)
    assert set(range(len(names))) & set(ids.ravel().tolist())
    agree = ids == hits.ids
    # A ray that grazes an edge may fall on either side of it in float32.
    assert agree.mean() > 0.99
    solid_hit = agree & (ids != SKY)
    np.testing.assert_allclose(hits.depths[solid_hit], depths[solid_hit], rtol=2e-4)


def test_a_solid_around_and_behind_the_camera_is_seen_where_it_is_ahead(solid, view) -> None:
    wall = pack([solid(box(0.5, 5.0, 40.0), [(2.5, 0, 0)], [0.0])])

    hits = cast(wall, view([(0, 1.5, 0)]), 0, samples=1)

    # The wall's near face is the plane x = 2: a pixel u right of the middle sees it at 2 f / u.
    right = hits.ids[4, -1]
    assert right == 0
    assert hits.depths[4, -1] == pytest.approx(2 * 37 * 0.8 / 18, rel=1e-4)
    assert (hits.ids[:, :18] < 0).all()


def test_depth_of_the_ground_follows_from_height_and_pitch(solid, view) -> None:
    nothing = pack([solid(box(1, 1, 1), [(0, 0, -50)], [0.0])])
    height, pitch = 1.7, -0.15

    hits = cast(nothing, view([(3, height, 8)], [0.7], pitch), 0, samples=1)

    rows = np.arange(21)
    slope = (rows - 10) / (37 * 0.8)
    down = slope * np.cos(pitch) - np.sin(pitch)
    expected = np.where(down > 0, height / np.where(down > 0, down, 1), np.inf)
    np.testing.assert_allclose(hits.depths, np.repeat(expected[:, None], 37, axis=1), rtol=1e-4)


def test_a_frayed_ball_loses_only_its_rim(solid, view) -> None:
    camera = view([(0, 1.5, 0)], size=(63, 63))
    whole, torn = (
        cast(pack([solid(ball(2, 2, 2, fray=fray), [(0, 1.5, 6)], [0.0])]), camera, 0, samples=1)
        for fray in (0.0, 0.6)
    )

    assert (torn.ids == 0).sum() < 0.99 * (whole.ids == 0).sum()
    assert ((torn.ids == 0) <= (whole.ids == 0)).all()
    np.testing.assert_array_equal(torn.depths[26:37, 26:37], whole.depths[26:37, 26:37])
