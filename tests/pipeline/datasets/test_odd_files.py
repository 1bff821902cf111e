"""Every data set with files that are odd: legal ones are read all the same, bad ones are named."""

import shutil

import cv2
import pytest

from tests.pipeline.datasets.reading import DEPTHS, LABELS, assert_same, clips_of

ALL = ("camvid", "cityscapes", "kitti_step", "rgbd", "nyud")

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
