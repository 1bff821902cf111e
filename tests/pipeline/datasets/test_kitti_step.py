import shutil

import cv2
import numpy as np
import pytest

from pipeline.datasets.kitti_step import find
from tests.pipeline.datasets.reading import assert_same, clips_of


def test_sequences_are_split_as_published(kitti_step_tree):
    train, val = find(kitti_step_tree, {})

    assert (train.key, train.split, len(train.frames)) == ("train-0000-000000", "train", 5)
    assert (val.key, val.split, len(val.frames)) == ("val-0002-000000", "val", 3)
    assert train.fps == 10.0


def test_classes_are_in_red_and_not_swapped(kitti_step_tree):
    frame = find(kitti_step_tree, {})[0].frames[2]()

    assert (frame.semseg[4:8, 5:9] == 13).all()
    assert (frame.semseg[8:11, :3] == 11).all()
    assert (frame.semseg[:3, 10:] == 10).all()
    assert (frame.semseg[11, 15:] == 255).all()
    assert frame.semseg[9, 9] == 0


def test_both_codes_for_void_are_void(kitti_step_tree):
    frame = find(kitti_step_tree, {})[1].frames[0]()

    assert (frame.semseg[0] == 255).all()


def test_depth_of_16_bits_and_of_floats(kitti_step_tree):
    train, val = find(kitti_step_tree, {})

    of_bits = train.frames[2]().depth
    assert (of_bits[:2] == 0).all()
    assert (of_bits[3:] == 4.5).all()
    of_floats = val.frames[1]().depth
    assert (of_floats[3] == 0).all(), "not a number"
    assert (of_floats[4:] == 7.25).all()
    assert (of_floats[1:3, 10:] == 0).all(), "sky has no depth"


def test_long_sequences_become_clips_of_one_length(kitti_step_tree):
    recordings = [r for r in find(kitti_step_tree, {"frames": "2"}) if r.split == "train"]

    assert [(r.start, len(r.frames)) for r in recordings] == [(0, 2), (2, 2), (3, 2)]


def test_the_official_layout_is_read_too(kitti_step_tree, tmp_path):
    root = tmp_path / "official"
    for sequence, part in (("0000", "train"), ("0002", "val")):
        images = root / "training/image_02" / sequence
        labels = root / "panoptic_maps" / part / sequence
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for path in (kitti_step_tree / sequence).iterdir():
            stem, _, kind = path.stem.partition("_")
            if kind == "image":
                path.rename(images / f"{stem}{path.suffix}")
            elif kind == "panoptic":
                path.rename(labels / f"{stem}.png")

    train, val = find(root, {})

    assert len(train.frames) == 5
    assert (train.frames[0]().semseg[4:8, 5:9] == 13).all()
    assert val.frames[0]().depth is None


def test_a_missing_label_leaves_its_frame_unlabelled(kitti_step_tree):
    (kitti_step_tree / "0000/000001_panoptic.png").unlink()

    frame = find(kitti_step_tree, {})[0].frames[1]()

    assert frame.semseg is None
    assert frame.depth is not None


def test_missing_images_and_bad_files_are_named(kitti_step_tree, tmp_path):
    panoptic = kitti_step_tree / "0000/000000_panoptic.png"
    cv2.imwrite(str(panoptic), np.zeros((12, 20), np.uint8))
    with pytest.raises(ValueError, match=r"000000_panoptic.png: 1 channel.* of uint8, expected 3"):
        find(kitti_step_tree, {})[0].frames[0]()

    cv2.imwrite(str(panoptic), np.full((12, 20, 3), 19, np.uint8))
    with pytest.raises(ValueError, match=r"000000_panoptic.png: label ids 19"):
        find(kitti_step_tree, {})[0].frames[0]()

    for path in (kitti_step_tree / "0000").glob("000003_*"):
        path.unlink()
    with pytest.raises(ValueError, match=r"sequence 0000: no image for frames 3"):
        find(kitti_step_tree, {})
    with pytest.raises(ValueError, match="expected <sequence>"):
        find(tmp_path / "none", {})


def test_float_depth_of_twice_the_bits_is_read(kitti_step_tree):
    path = kitti_step_tree / "0002/000001_depth.tiff"
    before = clips_of("kitti_step", kitti_step_tree)
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), values.astype(np.float64))

    assert_same(clips_of("kitti_step", kitti_step_tree), before)


def test_official_layout_without_its_labels_is_named(tmp_path, kitti_step_tree):
    (tmp_path / "a/training/image_02").mkdir(parents=True)
    shutil.copytree(kitti_step_tree / "0000", tmp_path / "a/training/image_02/0000")
    for path in (tmp_path / "a/training/image_02/0000").iterdir():
        stem, _, kind = path.stem.partition("_")
        path.rename(path.with_name(stem + path.suffix)) if kind == "image" else path.unlink()

    with pytest.raises(ValueError, match="panoptic_maps: no such folder"):
        clips_of("kitti_step", tmp_path / "a")
