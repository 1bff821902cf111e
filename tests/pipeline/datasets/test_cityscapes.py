import json
import shutil

import cv2
import numpy as np
import pytest

from pipeline.datasets.cityscapes import Camera, depth_from_disparity, find, read_camera

TRAIN_IDS = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11}
TRAIN_IDS |= {25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}


def test_a_clip_ends_with_its_labelled_frame(cityscapes_tree):
    train, val = find(cityscapes_tree, {})

    assert (train.split, val.split) == ("train", "val")
    assert train.key == "train-aachen-000003-000019"
    assert val.key == "val-st-gallen-000000-000294", "no dots in keys"
    assert (train.video, train.start, train.fps) == ("aachen_000003", 10, 17.0)
    assert val.start == 285
    labelled = [read().semseg is not None for read in train.frames]
    assert labelled == [False] * 9 + [True]


def test_label_ids_become_train_ids(cityscapes_tree):
    frame = find(cityscapes_tree, {})[0].frames[-1]()

    ids = np.arange(frame.semseg.size) % 34
    assert frame.semseg.ravel().tolist() == [TRAIN_IDS.get(int(i), 255) for i in ids]


def test_depth_is_baseline_times_focal_over_disparity(cityscapes_tree):
    recording = find(cityscapes_tree, {})[0]
    depth = recording.frames[-1]().depth
    ids = np.arange(depth.size).reshape(depth.shape) % 34

    assert (depth[:2] == 0).all(), "0 is invalid, 1 is no disparity"
    hidden = np.isin(ids, (1, 2, 3))
    assert (depth[hidden] == 0).all(), "own car, border, out of region"
    np.testing.assert_allclose(depth[2:][~hidden[2:]], 0.2 * 2200 / 20, rtol=1e-6)
    assert recording.intrinsics == (2200.0, 2210.0, 10.0, 6.0)
    assert recording.frames[0]().depth is None


def test_disparity_by_hand():
    camera = Camera(baseline=0.209313, fx=2262.52, fy=0, cx=0, cy=0)

    depth = depth_from_disparity(np.array([[0, 1, 257, 2561]], np.uint16), camera)

    np.testing.assert_allclose(depth, [[0, 0, 0.209313 * 2262.52, 0.0209313 * 2262.52]], rtol=1e-6)


def test_disparity_of_every_frame_is_used_where_it_is_given(cityscapes_tree):
    source = next((cityscapes_tree / "disparity/train/aachen").iterdir())
    folder = cityscapes_tree / "disparity_sequence/train/aachen"
    folder.mkdir(parents=True)
    for frame in range(10, 20):
        shutil.copy(source, folder / f"aachen_000003_{frame:06d}_disparity.png")

    recording = find(cityscapes_tree, {})[0]

    assert all(read().depth is not None for read in recording.frames)


def test_fewer_frames_before_the_label(cityscapes_tree):
    recording = find(cityscapes_tree, {"before": "4"})[0]

    assert len(recording.frames) == 5
    assert recording.start == 15


def test_without_sequences_the_labelled_frames_are_stills(cityscapes_tree):
    for path in (cityscapes_tree / "leftImg8bit_sequence").rglob("*_0000[12]*_leftImg8bit.png"):
        if "000019" not in path.name:
            path.unlink()
    (cityscapes_tree / "leftImg8bit_sequence").rename(cityscapes_tree / "leftImg8bit")

    assert [len(recording.frames) for recording in find(cityscapes_tree, {})] == [1, 1]
    with pytest.raises(ValueError, match=r"before=3: no folder .*leftImg8bit_sequence"):
        find(cityscapes_tree, {"before": "3"})


def test_missing_frames_are_listed(cityscapes_tree):
    folder = cityscapes_tree / "leftImg8bit_sequence/train/aachen"
    (folder / "aachen_000003_000012_leftImg8bit.png").unlink()

    with pytest.raises(ValueError, match=r"missing frames: .*aachen_000003_000012_leftImg8bit.png"):
        find(cityscapes_tree, {})
    assert len(find(cityscapes_tree, {"before": "6"})) == 2


def test_cameras_that_are_none_are_named(cityscapes_tree):
    path = next((cityscapes_tree / "camera/train/aachen").iterdir())

    path.write_text(json.dumps({"intrinsic": {"fx": 1}}))
    with pytest.raises(ValueError, match=r"camera.json: not a camera file"):
        find(cityscapes_tree, {})
    path.unlink()
    with pytest.raises(ValueError, match=r"camera.json: missing, and needed for depth"):
        find(cityscapes_tree, {})
    with pytest.raises(ValueError, match="missing"):
        read_camera(path)


def test_ids_that_do_not_exist_and_other_trees_are_named(cityscapes_tree, tmp_path):
    path = cityscapes_tree / "gtFine/train/aachen/aachen_000003_000019_gtFine_labelIds.png"
    cv2.imwrite(str(path), np.full((12, 20), 34, np.uint8))

    with pytest.raises(ValueError, match=r"labelIds.png: label ids 34 are none"):
        find(cityscapes_tree, {})[0].frames[-1]()
    with pytest.raises(ValueError, match="expected gtFine/<split>"):
        find(tmp_path / "none", {})
    with pytest.raises(ValueError, match="before=20: a snippet has 19"):
        find(cityscapes_tree, {"before": "20"})
