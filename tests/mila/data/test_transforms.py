from dataclasses import replace

import numpy as np
import pytest

from mila.data.transforms import (
    Augmentation,
    Window,
    augment,
    change_colour,
    crop_and_zoom,
    mirror,
)


@pytest.fixture
def clip(make_clip):
    return make_clip(frames=3, height=20, width=30)


def window(top, left, height, width, out=None, scale=1.0):
    return Window(top, left, height, width, *(out or (height, width)), scale)


def generator(seed=0):
    return np.random.default_rng(seed)


def same(a, b):
    for name in ("images", "semseg", "depth", "normals", "flow"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_same_draw_for_every_frame_and_label(make_clip):
    """All frames equal before, all equal after; and labels still lie on their pixels."""
    one = make_clip(frames=1, height=20, width=30)
    one.images[0, ..., 0] = one.semseg[0] * 13  # 255 becomes 243
    clip = replace(
        one,
        **{n: np.repeat(getattr(one, n), 3, axis=0) for n in ("images", "semseg", "depth")},
        normals=None,
        flow=None,
    )
    settings = Augmentation(crop=(12, 16), scale=(1, 1), flip=True, colour=0)

    for seed in range(20):
        out = augment(clip, settings, generator(seed))
        assert out.images.shape == (3, 12, 16, 3)
        for name in ("images", "semseg", "depth"):
            np.testing.assert_array_equal(getattr(out, name)[0], getattr(out, name)[2])
        np.testing.assert_array_equal(out.images[..., 0], out.semseg * np.uint8(13))


def test_same_generator_gives_the_same_clip_and_leaves_the_input(clip):
    settings = Augmentation(crop=(12, 16), scale=(0.5, 2), flip=True, colour=0.3)
    before = replace(clip, **{n: getattr(clip, n).copy() for n in ("images", "semseg", "depth")})

    first, second = (augment(clip, settings, generator(5)) for _ in range(2))

    same(first, second)
    same(clip, before)
    assert not np.array_equal(first.images, augment(clip, settings, generator(6)).images)


def test_a_crop_is_a_piece_of_the_clip(clip):
    out = crop_and_zoom(clip, window(3, 5, 10, 12))

    np.testing.assert_array_equal(out.images, clip.images[:, 3:13, 5:17])
    np.testing.assert_array_equal(out.semseg, clip.semseg[:, 3:13, 5:17])
    np.testing.assert_array_equal(out.depth, clip.depth[:, 3:13, 5:17])
    np.testing.assert_array_equal(out.normals, clip.normals[:, 3:13, 5:17])
    fx, fy, cx, cy = clip.intrinsics
    assert out.intrinsics == (fx, fy, cx - 5, cy - 3)


def test_flow_that_leaves_the_crop_is_unknown(clip):
    clip.flow[1, 5, 6] = (-2.0, 0.0)
    clip.flow[1, 5, 7] = (-2.0, 0.0)

    out = crop_and_zoom(clip, window(0, 5, 20, 25))

    assert np.isnan(out.flow[1, 5, 1]).all()
    np.testing.assert_array_equal(out.flow[1, 5, 2], (-2, 0))


def test_zoom_by_two_repeats_label_pixels_and_halves_depth(clip):
    clip.flow[1, 4:6, 4:6] = (0.5, -0.25)

    out = crop_and_zoom(clip, window(2, 3, 10, 15, out=(20, 30), scale=2.0))

    piece = clip.semseg[:, 2:12, 3:18]
    np.testing.assert_array_equal(out.semseg, piece.repeat(2, axis=1).repeat(2, axis=2))
    depth = clip.depth[:, 2:12, 3:18].repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(out.depth, depth / 2)
    np.testing.assert_array_equal(out.flow[1, 4, 2], (1.0, -0.5))
    fx, fy, cx, cy = clip.intrinsics
    assert out.intrinsics == pytest.approx((2 * fx, 2 * fy, 2 * (cx - 3) + 0.5, 2 * (cy - 2) + 0.5))


def test_a_zoomed_plane_still_projects_to_the_same_point(clip):
    """X / Z of a pixel, from intrinsics, survives crop, zoom and mirror up to its sign."""
    fx, _, cx, _ = clip.intrinsics
    column = 11
    ray = (column - cx) / fx

    out = crop_and_zoom(clip, window(0, 5, 20, 20, out=(40, 40), scale=2.0))
    moved = (column - 5 + 0.5) * 2 - 0.5
    assert (moved - out.intrinsics[2]) / out.intrinsics[0] == pytest.approx(ray)

    mirrored = mirror(out)
    assert (39 - moved - mirrored.intrinsics[2]) / mirrored.intrinsics[0] == pytest.approx(-ray)


def test_zooming_out_ignores_what_was_never_seen(clip):
    out = crop_and_zoom(clip, window(-10, -15, 40, 60, out=(20, 30), scale=0.5))

    assert (out.semseg[:, :5] == 255).all()
    assert (out.semseg[:, :, -7:] == 255).all()
    assert (out.depth[:, :5] == 0).all()
    assert (out.normals[:, :5] == 0).all()
    assert np.isnan(out.flow[:, :5]).all()
    assert (out.semseg[:, 6:14, 9:21] != 255).any()
    assert (out.images[:, :5] > 0).all(), "reflected, not black"
    inside = out.depth[:, 5:15, 8:22]
    assert set(np.unique(inside)) <= set(np.unique(clip.depth * 2))


def test_mirror_twice_is_nothing(clip):
    once = mirror(clip)

    same(mirror(once), clip)
    np.testing.assert_array_equal(once.normals[..., 0], -clip.normals[:, :, ::-1, 0])
    np.testing.assert_array_equal(once.normals[..., 1:], clip.normals[:, :, ::-1, 1:])
    np.testing.assert_array_equal(once.flow[..., 0], -clip.flow[:, :, ::-1, 0])
    np.testing.assert_array_equal(once.flow[..., 1], clip.flow[:, :, ::-1, 1])


def test_colour_follows_its_formula(clip):
    out = change_colour(clip, brightness=1.1, contrast=0.9, saturation=0.5)

    rgb = clip.images.astype(float)
    grey = rgb @ np.array([0.299, 0.587, 0.114])
    mixed = 0.5 * rgb + 0.5 * grey[..., None]
    wanted = (mixed * 1.1) * 0.9 + 127.5 * 0.1
    np.testing.assert_allclose(out.images, wanted.clip(0, 255), atol=1.0)


def test_neutral_colour_changes_nothing(clip):
    same(change_colour(clip, brightness=1, contrast=1, saturation=1), clip)


def test_no_augmentation_is_the_clip_itself(clip):
    settings = Augmentation(flip=False, colour=0)

    same(augment(clip, settings, generator()), clip)


def test_crops_reach_every_place(clip):
    settings = Augmentation(crop=(18, 28), flip=False, colour=0)
    corners = {augment(clip, settings, generator(seed)).depth[0, 0, 0] for seed in range(200)}

    assert corners == set(clip.depth[0, :3, :3].ravel().tolist())


@pytest.mark.parametrize(
    "words, message",
    [
        ({"scale": (0, 1)}, "data.scale"),
        ({"scale": (2, 1)}, "data.scale"),
        ({"colour": 2}, "colour"),
    ],
)
def test_settings_that_cannot_be_drawn_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**words)


def test_a_crop_larger_than_the_clip_is_refused(clip):
    with pytest.raises(ValueError, match=r"data.crop 40x20 is larger than clip train-00, 20x30"):
        augment(clip, Augmentation(crop=(40, 20)), generator())
