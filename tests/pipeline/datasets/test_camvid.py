import cv2
import numpy as np
import pytest

from pipeline.datasets.camvid import find


def frames_of(recordings, split):
    return [recording for recording in recordings if recording.split == split]


def test_stills_train_and_the_run_tests(camvid_tree):
    recordings = find(camvid_tree, {})

    train, val, test = (frames_of(recordings, s) for s in ("train", "val", "test"))
    assert all(len(r.frames) == 1 for r in train + val)
    (run,) = test
    assert len(run.frames) == 14
    assert (run.fps, run.start) == (15.0, 0)


def test_blocks_of_time_are_held_out_with_a_gap(camvid_tree):
    recordings = find(camvid_tree, {})
    numbers = {
        split: sorted(
            int(r.key.rpartition("-")[2]) for r in frames_of(recordings, split) if "0006R0" in r.key
        )
        for split in ("train", "val")
    }

    assert numbers["val"] == [900 + 30 * i for i in range(36, 40)]
    assert numbers["train"] == [900 + 30 * i for i in range(33)]
    videos = {split: {r.video for r in frames_of(recordings, split)} for split in ("train", "val")}
    assert not videos["train"] & videos["val"]


def test_stills_of_the_street_of_the_run_are_not_trained_on(camvid_tree):
    keys = [r.key for r in find(camvid_tree, {}) if r.split != "test" and "0016E5" in r.key]

    assert keys == ["train-0016E5-train-000390", "train-0016E5-train-005970"]


@pytest.mark.parametrize(
    "labels, expected, label_set",
    [
        ("cityscapes", [10, 2, 5, 0, 1, 8, 7, 4, 13, 11, 18], "cityscapes"),
        ("native", list(range(11)), "camvid"),
    ],
)
def test_labels_are_mapped(camvid_tree, labels, expected, label_set):
    (run,) = frames_of(find(camvid_tree, {"labels": labels}), "test")

    seen = [read().semseg for read in run.frames]

    assert run.label_set == label_set
    assert [ids[5, 5] for ids in seen[:11]] == expected
    assert all((ids[0] == 255).all() for ids in seen)


def test_images_are_rgb(camvid_tree):
    (run,) = frames_of(find(camvid_tree, {}), "test")
    truth = cv2.imread(str(camvid_tree / "val/0016E5_07959.png"))[..., ::-1]

    np.testing.assert_array_equal(run.frames[0]().image, truth)


def test_a_gap_ends_a_run(camvid_tree):
    (camvid_tree / "val/0016E5_07965.png").unlink()
    (camvid_tree / "valannot/0016E5_07965.png").unlink()

    runs = frames_of(find(camvid_tree, {}), "test")

    assert [len(run.frames) for run in runs] == [3, 10]


def test_a_frame_without_a_label_is_unlabelled(camvid_tree):
    (camvid_tree / "valannot/0016E5_07961.png").unlink()

    (run,) = frames_of(find(camvid_tree, {}), "test")

    assert run.frames[1]().semseg is None
    assert run.frames[2]().semseg is not None


def test_a_label_without_an_image_is_named(camvid_tree):
    (camvid_tree / "val/0016E5_07961.png").unlink()

    with pytest.raises(ValueError, match=r"no image for the labels .*valannot/0016E5_07961.png"):
        find(camvid_tree, {})


def test_two_images_of_one_name_are_named(camvid_tree):
    image = camvid_tree / "val/0016E5_07961.png"
    image.with_suffix(".jpg").write_bytes(image.read_bytes())

    with pytest.raises(ValueError, match=r"0016E5_07961.jpg too|0016E5_07961.png"):
        find(camvid_tree, {})


def test_unknown_ids_and_other_folders_are_named(camvid_tree, tmp_path):
    path = camvid_tree / "valannot/0016E5_07959.png"
    cv2.imwrite(str(path), np.full((12, 20), 12, np.uint8))
    (run,) = frames_of(find(camvid_tree, {}), "test")

    with pytest.raises(ValueError, match=r"0016E5_07959.png: label ids 12 are none"):
        run.frames[0]()
    with pytest.raises(ValueError, match="expected CamVid's folders"):
        find(tmp_path, {})
    with pytest.raises(ValueError, match=r"labels=eleven: expected one of cityscapes, native"):
        find(camvid_tree, {"labels": "eleven"})
