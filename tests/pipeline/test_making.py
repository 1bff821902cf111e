from functools import partial

import numpy as np
import pytest

from pipeline.datasets.recording import Frame, Recording, key_of, windows
from pipeline.making import make_clip


def frame(height=8, width=12, **labels) -> Frame:
    return Frame(np.full((height, width, 3), 100, np.uint8), **labels)


def recording(*frames: Frame, **words) -> Recording:
    reads = tuple(partial(lambda f: f, f) for f in frames)
    return Recording("train-0", "v", "train", 10.0, 5, reads, **words)


def test_sparse_labels_are_put_where_they_belong():
    ids = np.full((8, 12), 3, np.uint8)
    metres = np.full((8, 12), 2.0, np.float32)
    up = np.broadcast_to(np.array([0, -1, 0], np.float32), (8, 12, 3))

    clip = make_clip(recording(frame(), frame(semseg=ids), frame(depth=metres, normals=up)))

    assert clip.images.shape == (3, 8, 12, 3)
    assert [set(np.unique(s)) for s in clip.semseg] == [{255}, {3}, {255}]
    assert [d.max() for d in clip.depth] == [0, 0, 2]
    assert [n.any() for n in clip.normals] == [False, False, True]
    assert (clip.key, clip.video, clip.split, clip.fps, clip.start) == (
        "train-0",
        "v",
        "train",
        10.0,
        5,
    )


def test_resizing_averages_images_and_picks_labels():
    image = np.zeros((4, 8, 3), np.uint8)
    image[:, ::2] = 200
    ids = np.tile(np.array([1, 7, 255, 4], np.uint8), (4, 2))
    metres = np.tile(np.array([1.0, 9.0, 0.0, 3.0], np.float32), (4, 2))
    source = Frame(image, semseg=ids, depth=metres)

    clip = make_clip(recording(source, intrinsics=(8.0, 4.0, 3.5, 1.5)), size=(2, 4))

    assert (clip.images == 100).all()
    assert set(np.unique(clip.semseg)) <= {1, 7, 255, 4}
    assert set(np.unique(clip.depth)) <= {0.0, 1.0, 3.0, 9.0}
    assert clip.intrinsics == (4.0, 2.0, 1.5, 0.5)
    assert ((clip.depth == 0) == (clip.semseg == 255)).all(), "both pick the same pixels"


def test_sizes_that_differ_are_named():
    small = np.zeros((8, 11), np.uint8)

    with pytest.raises(ValueError, match=r"train-0, frame 1: semseg is 8x11, its image 8x12"):
        make_clip(recording(frame(), frame(semseg=small)))
    with pytest.raises(ValueError, match=r"frame 1: image is 8x13, the frame before 8x12"):
        make_clip(recording(frame(), frame(width=13)))
    with pytest.raises(ValueError, match="train-0 has no frames"):
        make_clip(recording())


@pytest.mark.parametrize(
    "count, length, expected",
    [
        (6, 3, [(0, 3), (3, 6)]),
        (7, 3, [(0, 3), (3, 6), (4, 7)]),
        (2, 3, [(0, 2)]),
        (3, 3, [(0, 3)]),
        (4, 3, [(0, 3), (1, 4)]),
    ],
)
def test_every_frame_is_in_a_window(count, length, expected):
    assert [(w.start, w.stop) for w in windows(count, length)] == expected


def test_keys_have_no_dots_and_no_slashes():
    assert key_of("train", "a.b/c d", "007") == "train-a-b-c-d-007"
