"""Whole clips: the same name gives the same bytes; labels keep their promises; copying is hard."""

import numpy as np
import pytest

from pipeline.world.clip import StreetClip, clip_rng, render_clip
from pipeline.world.render import DEPTH_LIMIT, SKY_LABEL

KNOWN = (0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 13, 14, 15)


def make(split: str = "train", index: int = 0, **changes: object) -> StreetClip:
    size = {"frames": 2, "height": 48, "width": 96, "fps": 17.0, **changes}
    return render_clip(seed=0, split=split, index=index, **size)


def arrays(clip: StreetClip) -> list[np.ndarray]:
    return [clip.images, clip.semseg, clip.depth, clip.flow]


def test_same_name_same_bytes() -> None:
    first, second = make(), make()

    for a, b in zip(arrays(first), arrays(second), strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize(("split", "index"), [("train", 1), ("val", 0), ("test", 0)])
def test_other_name_other_world(split, index) -> None:
    assert (make(split, index).semseg != make().semseg).mean() > 0.05


def test_no_two_clips_share_their_random_numbers() -> None:
    names = [
        (s, split, i) for s in range(3) for split in ("train", "val", "test") for i in range(9)
    ]
    draws = {clip_rng(*name).integers(2**62) for name in names}

    assert len(draws) == len(names)


def test_shapes_types_and_ranges() -> None:
    clip = make(frames=3, height=40, width=72)

    assert clip.images.shape == (3, 40, 72, 3)
    assert clip.images.dtype == np.uint8
    assert clip.semseg.shape == clip.depth.shape == (3, 40, 72)
    assert clip.flow.shape == (3, 40, 72, 2)
    assert clip.depth.dtype == clip.flow.dtype == np.float32
    assert set(np.unique(clip.semseg)) <= set(KNOWN)
    assert (clip.depth[clip.semseg == SKY_LABEL] == 0).all()
    near = clip.depth[(clip.semseg != SKY_LABEL) & (clip.depth > 0)]
    assert near.min() > 0.1
    assert near.max() <= DEPTH_LIMIT
    assert clip.intrinsics[2:] == (35.5, 19.5)


def test_fewer_frames_are_the_beginning_of_more() -> None:
    """Labels of a clip do not depend on what comes later, but for how far the street is built."""
    still = [make(frames=n, fps=1e6).semseg[0] for n in (2, 3)]

    np.testing.assert_array_equal(*still)


@pytest.fixture(scope="module")
def dozen() -> list[StreetClip]:
    return [make("test", index, frames=6) for index in range(12)]


def test_a_copied_label_loses_at_least_fifteen_points_in_five_frames(dozen) -> None:
    counts = np.zeros((19, 19), int)
    for clip in dozen:
        pairs = clip.semseg[5].astype(int) * 19 + clip.semseg[0]
        counts += np.bincount(pairs.ravel(), minlength=361).reshape(19, 19)
    hits, either = np.diag(counts), counts.sum(0) + counts.sum(1) - np.diag(counts)

    occurring = counts.sum(1) > 0
    mean_iou = (hits[occurring] / either[occurring]).mean()

    assert 0.3 < mean_iou <= 0.85


def test_a_dozen_worlds_show_most_classes(dozen) -> None:
    pixels = np.concatenate([clip.semseg.ravel() for clip in dozen])
    share = np.bincount(pixels, minlength=19) / len(pixels)

    assert (share[list(KNOWN)] > 0.003).sum() >= 12
    assert share.max() < 0.5


def test_the_camera_drives_into_nothing(dozen) -> None:
    for clip in dozen:
        touching = (clip.depth > 0) & (clip.depth < 1.0)
        assert touching.mean((1, 2)).max() < 0.05


def test_pictures_are_neither_flat_nor_burnt_out(dozen) -> None:
    for clip in dozen:
        grey = clip.images.mean(-1)
        assert 35 < grey.mean() < 215
        assert grey.std() > 12
        assert ((grey == 0) | (grey == 255)).mean() < 0.35


def test_colour_alone_does_not_tell_the_class() -> None:
    """The best guess from a pixel's colour, learnt on some worlds, fails often on others."""
    train = [make("train", index, frames=1) for index in range(24)]
    test = [make("test", index, frames=1) for index in range(12)]

    def bins(clips: list[StreetClip]) -> tuple[np.ndarray, np.ndarray]:
        coarse = np.concatenate([c.images.reshape(-1, 3) for c in clips]).astype(int) // 16
        codes = (coarse[:, 0] * 16 + coarse[:, 1]) * 16 + coarse[:, 2]
        return codes, np.concatenate([c.semseg.ravel() for c in clips]).astype(int)

    codes, labels = bins(train)
    votes = np.bincount(codes * 19 + labels, minlength=16**3 * 19).reshape(-1, 19)
    codes, labels = bins(test)

    assert (votes.argmax(1)[codes] == labels).mean() < 0.65
