import numpy as np
import pytest

from mila.data.stills import CameraPath, draw_path, still_to_clip

AGES = (9, 5, 1, 0)


@pytest.fixture
def still(make_clip):
    """Blocks of colour, one class each: image and label can be compared."""
    still = make_clip(frames=1, height=96, width=128, flow=None)
    ids = (np.arange(96)[:, None] // 16 + np.arange(128)[None] // 16) % 8
    still.semseg[0] = ids
    still.images[0] = (ids[..., None] * 30).astype(np.uint8)
    still.depth[0] = 10.0
    return still


def moved(still, seed, ages=AGES, reach=9):
    return still_to_clip(still, ages, np.random.default_rng(seed), reach=reach)


def test_image_and_labels_move_together(still):
    for seed in range(10):
        clip = moved(still, seed)

        known = clip.semseg != 255
        assert known.mean() > 0.4
        off = np.abs(clip.images[..., 0].astype(int) - clip.semseg * 30) > 3
        # Blended pixels at the borders of the blocks are the only difference.
        assert off[known].mean() < 0.25
        inner = known & ~_near_a_border(clip.semseg)
        assert not off[inner].any()


def _near_a_border(labels):
    near = np.zeros(labels.shape, bool)
    for shift in (-2, -1, 1, 2):
        for axis in (1, 2):
            near |= np.roll(labels, shift, axis) != labels
    near[:, :2] = near[:, -2:] = near[:, :, :2] = near[:, :, -2:] = True
    return near


def test_what_lies_outside_is_ignored_in_every_label(still):
    for seed in range(10):
        clip = moved(still, seed)

        outside = clip.semseg == 255
        assert (clip.depth[outside] == 0).all()
        assert (clip.depth[~outside] > 0).all()
        assert (clip.normals[outside] == 0).all()
        assert clip.flow is None


def test_the_path_does_not_depend_on_the_frames_asked_for(still):
    for seed in range(5):
        several, last = moved(still, seed), moved(still, seed, ages=(5, 0))

        np.testing.assert_array_equal(several.images[[1, 3]], last.images)
        np.testing.assert_array_equal(several.semseg[[1, 3]], last.semseg)


def test_motion_is_smooth_and_there(still):
    for seed in range(10):
        path = draw_path(np.random.default_rng(seed), 9)
        corner = np.array([0, 0, 1.0])
        places = np.array([_apply(path.homography(t, 96, 128), corner) for t in range(-9, 10)])
        steps = np.diff(places, axis=0)
        assert np.linalg.norm(places[-1] - places[0]) > 0.5
        assert np.linalg.norm(np.diff(steps, axis=0), axis=1).max() < 3, "pixels per frame squared"


def test_time_zero_is_the_still_itself():
    path = draw_path(np.random.default_rng(1), 9)

    np.testing.assert_allclose(path.homography(0, 48, 64), np.eye(3), atol=1e-12)
    assert path.growth(0) == 1


def test_forward_motion_makes_things_larger_and_nearer(still):
    path = CameraPath(np.array([0.05, 0, 0, 0, 0, 0]), np.zeros(6), (0, 1, 0), (0, 0))
    middle = np.array([63.5, 47.5])

    later = _apply(path.homography(4, 96, 128), np.array([83.5, 47.5, 1]))

    np.testing.assert_allclose(later - middle, [20 * np.exp(-0.2), 0], atol=1e-9)
    assert path.growth(4) == pytest.approx(np.exp(0.2))


def test_depth_shrinks_as_the_picture_grows(still):
    growing = 0
    for seed in range(20):
        clip = moved(still, seed)
        first, last = (clip.depth[i][clip.depth[i] > 0] for i in (0, 3))
        assert first.min() == first.max(), "one factor for a frame"
        growing += last.max() < first.min()
    assert growing > 12, "most paths go forward"


def test_clips_of_several_frames_are_no_stills(make_clip):
    with pytest.raises(ValueError, match="train-00 has 3 frames, a still has one"):
        moved(make_clip(frames=3), 0)


def _apply(homography, point):
    x, y, w = homography @ point
    return np.array([x / w, y / w])
