"""Exact flow against motion worked out by hand and against labels of whole clips."""

import numpy as np
import pytest

from pipeline.world.clip import render_clip
from pipeline.world.render import SKY_LABEL, render
from pipeline.world.scene import box

FAR = (0.0, 0.0, -60.0)
"""Behind the camera: a solid that is never seen."""


def grid(shape: tuple[int, int]) -> np.ndarray:
    columns, rows = np.meshgrid(np.arange(shape[1]), np.arange(shape[0]))
    return np.stack([columns, rows], -1).astype(float)


def test_first_frame_has_no_flow(solid, view, make_world) -> None:
    frames = render(make_world([solid(box(1, 1, 1), [FAR], [0])], view([(0, 1.5, 0)])))

    assert np.isnan(frames.flow).all()


def test_a_turn_moves_the_sky_by_a_homography(solid, view, make_world) -> None:
    camera = view([(0, 1.5, 0)] * 2, [0.0, 0.02], pitch=0.1)
    frames = render(make_world([solid(box(1, 1, 1), [FAR] * 2, [0, 0])], camera))
    fx, fy, cx, cy = camera.intrinsics
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])

    old = matrix @ camera.rotations[0].T.astype(float) @ camera.rotations[1].astype(float)
    here = grid((21, 37))
    rays = np.concatenate([here, np.ones((21, 37, 1))], -1) @ np.linalg.inv(matrix).T @ old.T
    expected = rays[..., :2] / rays[..., 2:] - here

    sky = (frames.semseg[1] == SKY_LABEL) & ~np.isnan(frames.flow[1, ..., 0])
    assert sky.sum() > 200
    np.testing.assert_allclose(frames.flow[1][sky], expected[sky], atol=2e-3)


def test_driving_straight_moves_the_ground_away_from_the_horizon(solid, view, make_world) -> None:
    camera = view([(0, 1.5, 0), (0, 1.5, 0.5)])
    frames = render(make_world([solid(box(1, 1, 1), [FAR] * 2, [0, 0])], camera))
    below = grid((21, 37)) - np.array([18, 10])

    depth = 1.5 * 37 * 0.8 / np.maximum(below[..., 1], 0.5)
    expected = below * (depth / (depth + 0.5) - 1)[..., None]

    ground = (below[..., 1] > 0) & ~np.isnan(frames.flow[1, ..., 0])
    assert ground.sum() > 300
    np.testing.assert_allclose(frames.flow[1][ground], expected[ground], atol=2e-3)


def test_a_moving_box_has_its_own_flow_and_uncovers_the_ground(solid, view, make_world) -> None:
    mover = solid(box(0.8, 1.2, 0.1), [(0, 0, 6.1), (0.5, 0, 6.1)], [0, 0])
    frames = render(make_world([mover], view([(0, 1.5, 0)] * 2)))
    on_box = frames.semseg[1] == 13
    was_box = frames.semseg[0] == 13

    # At the rim the pixel nearest to the old place may have seen the ground beside the box.
    known = on_box & ~np.isnan(frames.flow[1, ..., 0])
    assert known.sum() > 0.7 * on_box.sum()
    expected = np.array([-0.5 * 37 * 0.8 / 6.0, 0])
    np.testing.assert_allclose(frames.flow[1][known] - expected, 0, atol=1e-3)
    uncovered = was_box & ~on_box
    assert uncovered.any()
    assert np.isnan(frames.flow[1][uncovered]).all()
    untouched = ~was_box & ~on_box
    np.testing.assert_allclose(frames.flow[1][untouched], 0, atol=1e-3)


def test_a_turning_box_carries_its_faces_along(solid, view, make_world) -> None:
    yaws = [0.9, 1.0]
    mover = solid(box(1.0, 2.0, 1.0), [(0, 0, 7)] * 2, yaws)
    camera = view([(0, 1.5, 0)] * 2, size=(41, 61))
    frames = render(make_world([mover], camera))
    seen = (frames.semseg[1] == 13) & ~np.isnan(frames.flow[1, ..., 0])

    focal, cx, cy = camera.focal, 30, 20
    pixels = grid((41, 61))[seen]
    depth = frames.depth[1][seen].astype(float)
    x, y = (pixels[:, 0] - cx) / focal * depth, (pixels[:, 1] - cy) / focal * depth
    turn = yaws[0] - yaws[1]
    old_x = x * np.cos(turn) + (depth - 7) * np.sin(turn)
    old_z = (depth - 7) * np.cos(turn) - x * np.sin(turn) + 7
    old = np.stack([old_x / old_z * focal + cx, y / old_z * focal + cy], -1)
    assert seen.sum() > 50
    np.testing.assert_allclose(frames.flow[1][seen], old - pixels, atol=5e-3)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_labels_carried_by_the_flow_are_the_labels(index) -> None:
    clip = render_clip(seed=3, split="val", index=index, frames=4, height=64, width=128, fps=17.0)
    known = ~np.isnan(clip.flow[1:, ..., 0])
    place = np.floor(grid((64, 128)) + np.nan_to_num(clip.flow[1:]) + 0.5).astype(int)
    frame = np.arange(3)[:, None, None]
    before = clip.semseg[frame, place[..., 1], place[..., 0]]

    assert known.mean() > 0.7
    assert (before == clip.semseg[1:])[known].mean() >= 0.985


def test_depth_and_flow_of_still_things_agree_with_the_camera() -> None:
    """Over a clip of the real world: where nothing moves, flow is depth seen from before."""
    clip = render_clip(seed=1, split="val", index=0, frames=3, height=64, width=128, fps=17.0)
    fx, fy, cx, cy = clip.intrinsics
    road = (clip.semseg[1:] == 0) & ~np.isnan(clip.flow[1:, ..., 0])
    frame, row, column = np.nonzero(road)
    old = np.stack([column, row], -1) + clip.flow[1:][road]
    depth = clip.depth[1:][road].astype(float)
    points = np.stack([(column - cx) / fx * depth, (row - cy) / fy * depth, depth], -1)
    # The road is a plane: the flow on it has to be one homography of each frame, fit and checked.
    for t in range(2):
        here = frame == t
        lifted = np.concatenate([points[here], np.ones((here.sum(), 1))], -1)
        u, v = ((old[here] - [cx, cy]) / [fx, fy]).T
        zero = np.zeros_like(lifted)
        rows = np.concatenate(
            [
                np.concatenate([lifted, zero, -u[:, None] * lifted], 1),
                np.concatenate([zero, lifted, -v[:, None] * lifted], 1),
            ]
        )
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        assert np.linalg.svd(rows, compute_uv=False)[-1] / np.sqrt(len(rows)) < 1e-4
