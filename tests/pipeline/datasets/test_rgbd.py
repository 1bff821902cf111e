import numpy as np
import pytest

from pipeline.datasets.rgbd import Registration, find


def test_sequences_are_videos_and_split_by_their_lists(rgbd_tree):
    first, second = find(rgbd_tree, {})

    assert first.key == "train-red-kitchen-seq-01-000000", "no dots in keys"
    assert (first.split, second.split) == ("train", "test")
    assert first.video != second.video
    assert (first.fps, first.depth_units_per_metre) == (30.0, 1000.0)


def test_a_frame_that_repeats_the_one_before_is_left_out(rgbd_tree):
    first, second = find(rgbd_tree, {})

    assert len(first.frames) == 4
    assert len(second.frames) == 3


def test_depth_is_in_metres_and_both_codes_are_none(rgbd_tree):
    first = find(rgbd_tree, {})[0]

    depth = first.frames[1]().depth

    assert (depth[:2] == 0).all()
    np.testing.assert_allclose(depth[2:], 1.6)


def test_units_rate_length_and_split_can_be_told(rgbd_tree):
    words = {"units": "5000", "fps": "15", "frames": "2", "split": "val"}

    recordings = find(rgbd_tree, words)

    assert {r.split for r in recordings} == {"val"}
    assert [r.start for r in recordings if "seq-01" in r.key] == [0, 2]
    assert recordings[0].fps == 15
    np.testing.assert_allclose(recordings[0].frames[0]().depth[5], 0.3)


def test_one_folder_alone_is_one_video(rgbd_tree):
    (recording,) = find(rgbd_tree / "red.kitchen/seq-02", {})

    assert recording.split == "test"
    assert recording.video == "seq-02"


def test_depth_is_brought_onto_colour(rgbd_tree):
    """Scaled about the middle, then shifted: by hand on one corner of a rectangle."""
    recording = find(rgbd_tree, {"register": "0.5,2,-1"})[0]

    depth = recording.frames[1]().depth

    known = np.argwhere(depth > 0)
    # Rows 2..11 and columns 0..19 of depth, scaled by 0.5 about (5.5, 9.5), shifted (-1, 2).
    assert known.min(axis=0).tolist() == [3, 7]
    assert known.max(axis=0).tolist() == [7, 16]
    assert set(np.unique(depth)) == {0, np.float32(1.6)}
    fx, fy, cx, cy = recording.intrinsics
    assert (fx, fy) == (292.5, 293.0)
    assert (cx, cy) == pytest.approx((9.5 + 0.5 * 0.5 + 2, 5.5 + 0.5 * 0.5 - 1))


def test_registration_maps_the_middle_to_the_shifted_middle():
    matrix = Registration(0.91, -8, -1).matrix(480, 640)

    seen = matrix @ np.array([319.5 - 8, 239.5 - 1, 1])

    np.testing.assert_allclose(seen, [319.5, 239.5])


def test_frames_without_depth_are_unlabelled(rgbd_tree):
    (rgbd_tree / "red.kitchen/seq-02/frame-000001.depth.png").unlink()

    assert find(rgbd_tree, {})[1].frames[1]().depth is None


@pytest.mark.parametrize(
    "words, message",
    [
        ({"register": "0.9"}, "register=0.9: expected scale,right,down"),
        ({"register": "-1,0,0"}, "register=-1,0,0: expected"),
        ({"units": "many"}, "units=many: expected a number"),
        ({"frames": "1"}, "frames=1: expected 2 or more"),
        ({"split": "all"}, "split=all: expected one of train, val, test"),
    ],
)
def test_bad_words_are_named(rgbd_tree, words, message):
    with pytest.raises(ValueError, match=message):
        find(rgbd_tree, words)


def test_bad_files_are_named(rgbd_tree, tmp_path):
    folder = rgbd_tree / "red.kitchen/seq-01"
    colour = folder / "frame-000000.color.png"
    (folder / "frame-000000.depth.png").write_bytes(colour.read_bytes())
    with pytest.raises(ValueError, match=r"depth.png: 3 channel.* of uint8, expected 1 of uint16"):
        find(rgbd_tree, {})[0].frames[0]()

    (folder / "camera-intrinsics.txt").write_text("585 0\n")
    with pytest.raises(ValueError, match=r"camera-intrinsics.txt: expected three rows"):
        find(rgbd_tree, {})
    with pytest.raises(ValueError, match="expected files frame-<number>"):
        find(tmp_path / "none", {})
