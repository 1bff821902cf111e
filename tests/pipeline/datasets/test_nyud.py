import shutil

import cv2
import numpy as np
import pytest

from pipeline.datasets.nyud import find
from tests.pipeline.datasets.reading import clips_of

CLASSES_40 = [255, 39, 4, 8, 21]
CLASSES_13 = [255, 6, 3, 12, 2]  # objects, chair, window, ceiling, counted from 0


def test_splits_are_the_official_ones(nyud_tree):
    recordings = find(nyud_tree, {})

    assert [r.key for r in recordings] == ["train-0001", "train-0002", "test-0003"]
    assert [r.video for r in recordings] == ["kitchen_0001", "kitchen_0001", "bath_0002"]
    assert {r.fps for r in recordings} == {30.0}


def test_raw_frames_come_before_the_labelled_one(nyud_tree):
    recordings = find(nyud_tree, {})

    assert [len(r.frames) for r in recordings] == [4, 6, 1], "no raw frames of the bath"
    assert len(find(nyud_tree, {"before": "2"})[0].frames) == 3
    for recording in recordings:
        *raw, last = [read() for read in recording.frames]
        assert all(f.semseg is None and f.depth is None for f in raw)
        assert last.semseg is not None


def test_the_file_is_read_the_right_way_round(nyud_tree):
    """The labelled image is the picture that the tree was made from, in RGB, rows first."""
    before, last = (find(nyud_tree, {})[1].frames[i]() for i in (0, -1))

    assert last.image.shape == before.image.shape == (12, 20, 3)
    np.testing.assert_array_equal(last.image, np.load(nyud_tree / "second.npy"))


@pytest.mark.parametrize("labels, classes", [("nyud40", CLASSES_40), ("nyud13", CLASSES_13)])
def test_labels_become_classes(nyud_tree, labels, classes):
    recording = find(nyud_tree, {"labels": labels})[2]

    semseg = recording.frames[-1]().semseg

    assert recording.label_set == labels
    raw = np.arange(12 * 20).reshape(12, 20) % 5
    np.testing.assert_array_equal(semseg, np.array(classes)[raw])


def test_depth_is_the_measured_one(nyud_tree):
    recording = find(nyud_tree, {})[1]

    depth = recording.frames[-1]().depth

    assert (depth[:4] == 0).all()
    assert (depth[4:] == 2.5).all()
    assert recording.depth_units_per_metre == 5000


def test_normals_where_they_are_given(nyud_tree):
    first, _, last = find(nyud_tree, {})

    assert first.frames[-1]().normals is None
    normals = last.frames[-1]().normals
    assert (normals[:5] == 0).all()
    np.testing.assert_allclose(normals[5:, ..., 2], -1, atol=1e-4)


def test_raw_frames_lose_the_distortion_of_the_lens(nyud_tree):
    path = nyud_tree / "raw/kitchen_0001/r-100.00-77.ppm"
    grid = np.zeros((480, 640, 3), np.uint8)
    grid[::20] = grid[:, ::20] = 255
    cv2.imwrite(str(path), grid)

    image = find(nyud_tree, {"before": "1"})[0].frames[0]().image

    assert image.shape == (480, 640, 3)
    assert (image != grid).any()
    centre = image[230:280, 300:350]
    assert np.abs(centre.astype(int) - grid[230:280, 300:350]).mean() < 40, "little at the middle"


@pytest.mark.parametrize("name", ["nyu_depth_v2_labeled.mat", "splits.mat", "classMapping40.mat"])
def test_files_that_are_missing_or_others_are_named(nyud_tree, name):
    path = nyud_tree / name

    path.write_bytes(b"nonsense" * 100)
    with pytest.raises(ValueError, match=f"{name}: not a MATLAB"):
        find(nyud_tree, {})
    path.unlink()
    with pytest.raises(ValueError, match=f"{name}: missing"):
        find(nyud_tree, {})


def test_wrong_splits_and_names_are_named(nyud_tree):
    from scipy.io import savemat

    good = (nyud_tree / "splits.mat").read_bytes()
    savemat(nyud_tree / "splits.mat", {"trainNdxs": np.array([[4]]), "testNdxs": np.array([[1]])})
    with pytest.raises(ValueError, match=r"splits.mat: trainNdxs must hold numbers from 1 to 3"):
        find(nyud_tree, {})
    (nyud_tree / "splits.mat").write_bytes(good)
    (nyud_tree / "raw/kitchen_0001/r-odd.ppm").write_bytes(b"")
    with pytest.raises(ValueError, match=r"r-odd.ppm: expected a name like"):
        find(nyud_tree, {})


@pytest.mark.parametrize("part", ["images", "labels", "rawDepths", "rawRgbFilenames"])
def test_what_the_mat_file_lacks_is_named(nyud_tree, part):
    import h5py

    path = nyud_tree / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "a") as file:
        del file[part]

    with pytest.raises(ValueError, match=rf"{path.name}: {part}.* is missing"):
        clips_of("nyud", nyud_tree)


def test_a_cut_mat_file_is_named(nyud_tree):
    for name in ("nyu_depth_v2_labeled.mat", "splits.mat", "classMapping40.mat"):
        path = nyud_tree / name
        data = path.read_bytes()
        for share in (0.2, 0.5, 0.9):
            path.write_bytes(data[: int(len(data) * share)])
            with pytest.raises(ValueError, match=name):
                clips_of("nyud", nyud_tree)
        path.write_bytes(data)


def test_altered_bytes_of_a_mat_file_end_nothing_but_the_run(nyud_tree):
    """Types and lengths of its first element: some changes crash the reader outright."""
    path = nyud_tree / "classMapping40.mat"
    good = path.read_bytes()
    refused = 0
    for at in range(128, 200, 3):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x44]) + good[at + 1 :])
        try:
            find(nyud_tree, {})
        except ValueError as error:
            refused += path.name in str(error)

    assert refused > 12


def test_a_list_of_the_other_mat_version_is_named(nyud_tree):
    shutil.copy(nyud_tree / "nyu_depth_v2_labeled.mat", nyud_tree / "splits.mat")

    with pytest.raises(ValueError, match=r"splits.mat: not a MATLAB file before 7.3"):
        clips_of("nyud", nyud_tree)
