"""Every data set with files that are odd: legal ones are read all the same, bad ones are named."""

import shutil
import struct
import zlib

import cv2
import numpy as np
import pytest

from pipeline.datasets.table import DATA_SETS
from pipeline.making import make_clip

ALL = ("camvid", "cityscapes", "kitti_step", "rgbd", "nyud")

LABELS = {
    "camvid": "valannot/0016E5_07961.png",
    "cityscapes": "gtFine/train/aachen/aachen_000003_000019_gtFine_labelIds.png",
    "kitti_step": "0000/000001_panoptic.png",
}
DEPTHS = {
    "cityscapes": "disparity/train/aachen/aachen_000003_000019_disparity.png",
    "kitti_step": "0000/000001_depth.png",
    "rgbd": "red.kitchen/seq-01/frame-000001.depth.png",
}
OTHERS = {
    "camvid": ["val/0016E5_07961.png", "train/0006R0_f00930.jpg"],
    "cityscapes": ["leftImg8bit_sequence/train/aachen/aachen_000003_000012_leftImg8bit.png"],
    "kitti_step": ["0000/000001_image.jpg", "0002/000001_depth.tiff"],
    "rgbd": ["red.kitchen/seq-01/frame-000003.color.png"],
    "nyud": ["raw/kitchen_0001/r-99.50-77.ppm", "normals/0003.png"],
}
LABEL_PARTS = [
    ("color", "depth"),
    ("val/", "valannot/"),
    ("_image.jpg", "_panoptic.png"),
    ("_image.jpg", "_depth.png"),
]
"""From the name of an image to that of its label."""

EVERY_KIND = [
    (name, file)
    for name in ALL
    for file in [LABELS.get(name), DEPTHS.get(name), *OTHERS[name]]
    if file
]


@pytest.fixture
def tree(request):
    """The tree of a data set by its name."""
    return lambda name: request.getfixturevalue(f"{name}_tree")


def clips_of(name, root):
    clips = [make_clip(recording) for recording in DATA_SETS[name].find(root, {})]
    return {clip.key: clip for clip in clips}


def assert_same(clips, others):
    assert clips.keys() == others.keys()
    for key, clip in clips.items():
        for part in ("images", "semseg", "depth", "normals"):
            np.testing.assert_array_equal(getattr(clip, part), getattr(others[key], part))


@pytest.mark.parametrize("name", ALL)
def test_upper_case_suffixes_lose_nothing(tree, name):
    root = tree(name)
    before = clips_of(name, root)

    for path in [p for p in root.rglob("*.*") if p.suffix in (".png", ".jpg", ".tiff", ".ppm")]:
        path.rename(path.with_suffix(path.suffix.upper()))

    assert_same(clips_of(name, root), before)


@pytest.mark.parametrize("name", ALL)
def test_hidden_files_notes_and_empty_folders_are_passed_over(tree, name):
    root = tree(name)
    before = clips_of(name, root)

    for path in [p for p in root.rglob("*.*") if p.is_file()]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\26\7 what some systems put beside")
    folders = [root, *(p for p in root.rglob("*") if p.is_dir())]
    for folder in folders:
        (folder / "0009").mkdir(exist_ok=True)
        (folder / ".hidden").mkdir(exist_ok=True)
        (folder / "notes.txt").write_text("mine")
        (folder / "Thumbs.db").write_bytes(b"\0")

    assert_same(clips_of(name, root), before)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "link"])
@pytest.mark.parametrize("name, file", EVERY_KIND)
def test_a_damaged_file_is_named_in_one_sentence(tree, name, file, damage):
    path = tree(name) / file
    data = path.read_bytes()
    path.unlink()
    if damage == "link":
        path.symlink_to("nowhere")
    else:
        content = {"cut": data[: len(data) * 6 // 10], "empty": b"", "text": b"no picture\n" * 9}
        path.write_bytes(content[damage])

    with pytest.raises(ValueError, match=path.name) as error:
        clips_of(name, tree(name))

    assert "\n" not in str(error.value)


def png(values, *, bits, colour_type, palette=b"") -> bytes:
    """A PNG written by hand: OpenCV writes no few bits and no palettes."""
    packed = [np.packbits(_bits(row, bits)).tobytes() for row in values]
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, colour_type, 0, 0, 0)
    body = _chunk(b"PLTE", palette) if palette else b""
    body += _chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in packed)))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + body + _chunk(b"IEND", b"")


def _bits(row, bits):
    return [value >> i & 1 for value in row.tolist() for i in range(bits - 1, -1, -1)]


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


IDS = np.full((12, 20), 3, np.uint8)


def jpeg(_shape):
    return cv2.imencode(".jpg", IDS)[1].tobytes()


def with_palette(_shape):
    return png(IDS, bits=8, colour_type=3, palette=bytes(range(96)))


def four_bits(_shape):
    return png(IDS, bits=4, colour_type=0)


def sixteen_bits(shape):
    return cv2.imencode(".png", np.full(shape, 3000, np.uint16))[1].tobytes()


def with_alpha(_shape):
    return cv2.imencode(".png", np.full((12, 20, 4), 7, np.uint8))[1].tobytes()


def unknown_ids(shape):
    """In grey an id, in RGB a colour that no class has."""
    return cv2.imencode(".png", np.full(shape, 77, np.uint8))[1].tobytes()


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize(
    "make, message",
    [
        (jpeg, "a JPEG changes the values of labels"),
        (with_palette, "an image with a palette holds colours"),
        (four_bits, "values of 4 bits, expected 8 or 16"),
        (sixteen_bits, "of uint16, expected"),
        (with_alpha, "4 channel"),
        (unknown_ids, "label ids 77 are none of this data set"),
    ],
)
def test_labels_that_are_none_are_named(tree, name, make, message):
    path = tree(name) / LABELS[name]
    path.write_bytes(make((12, 20, 3) if name == "kitti_step" else (12, 20)))

    with pytest.raises(ValueError, match=f"{path.name}: .*{message}"):
        clips_of(name, tree(name))


@pytest.mark.parametrize("name", ["camvid", "cityscapes"])
def test_coloured_labels_are_named(tree, name):
    path = tree(name) / LABELS[name]
    cv2.imwrite(str(path), np.full((12, 20, 3), (128, 64, 129), np.uint8))

    with pytest.raises(ValueError, match=f"{path.name}: 3 channel.*expected 1 of uint8"):
        clips_of(name, tree(name))


@pytest.mark.parametrize("name", DEPTHS)
@pytest.mark.parametrize(
    "values, message",
    [
        (np.full((12, 20), 9, np.uint8), "1 channel.* of uint8, expected 1 of uint16"),
        (np.full((12, 20, 3), 9, np.uint16), "3 channel.* of uint16"),
    ],
)
def test_depth_of_another_kind_is_named(tree, name, values, message):
    path = tree(name) / DEPTHS[name]
    cv2.imwrite(str(path), values)

    with pytest.raises(ValueError, match=f"{path.name}: {message}"):
        clips_of(name, tree(name))


@pytest.mark.parametrize("name, file", [*LABELS.items(), *DEPTHS.items()])
def test_a_label_of_another_size_is_named(tree, name, file):
    path = tree(name) / file
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), values[:6, :10])

    with pytest.raises(ValueError, match=rf"{path.name}: \w+ is 6x10, its image 12x20"):
        clips_of(name, tree(name))


@pytest.mark.parametrize("name", ["camvid", "cityscapes", "kitti_step", "rgbd"])
def test_a_frame_of_another_size_is_named(tree, name):
    path = tree(name) / OTHERS[name][0]
    for file in {path, *(tree(name) / OTHERS[name][0].replace(*part) for part in LABEL_PARTS)}:
        values = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(file), values[:8, :10])

    with pytest.raises(ValueError, match=rf"{path.name}: image is 8x10, the frame before 12x20"):
        clips_of(name, tree(name))


@pytest.mark.parametrize(
    "name, file",
    [
        ("camvid", "val/0016E5_07961.png"),
        ("kitti_step", "0000/000004_image.jpg"),
        ("rgbd", "red.kitchen/seq-01/frame-000004.color.png"),
    ],
)
def test_labels_without_their_image_are_named(tree, name, file):
    (tree(name) / file).unlink()

    with pytest.raises(ValueError, match=r"no image for the (labels|depth of) .*\.png"):
        clips_of(name, tree(name))


@pytest.mark.parametrize(
    "name, source, odd",
    [
        ("camvid", "val/0016E5_07961.png", "val/0016E5_final.png"),
        (
            "cityscapes",
            LABELS["cityscapes"],
            "gtFine/train/aachen/aachen_000003_last_gtFine_labelIds.png",
        ),
        ("kitti_step", "0000/000001_image.jpg", "0000/first_image.jpg"),
        ("rgbd", OTHERS["rgbd"][0], "red.kitchen/seq-01/frame-last.color.png"),
        ("nyud", "raw/kitchen_0001/r-99.50-77.ppm", "raw/kitchen_0001/r-now-77.ppm"),
    ],
)
def test_names_without_their_number_are_named(tree, name, source, odd):
    shutil.copy(tree(name) / source, tree(name) / odd)

    with pytest.raises(ValueError, match=f"{odd.rpartition('/')[2]}: expected a"):
        clips_of(name, tree(name))


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
            DATA_SETS["nyud"].find(nyud_tree, {})
        except ValueError as error:
            refused += path.name in str(error)

    assert refused > 12


def test_a_list_of_the_other_mat_version_is_named(nyud_tree):
    shutil.copy(nyud_tree / "nyu_depth_v2_labeled.mat", nyud_tree / "splits.mat")

    with pytest.raises(ValueError, match=r"splits.mat: not a MATLAB file before 7.3"):
        clips_of("nyud", nyud_tree)
