"""Pictures by hand on a few pixels, and folders of panels."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mila.panels import (
    MARKS,
    Painter,
    Panel,
    Tile,
    attended,
    class_colours,
    depth_colours,
    mark,
    normal_colours,
    sheet,
    write_panels,
)
from mila.tasks import LABEL_SETS

STREET = LABEL_SETS["cityscapes"]
PAINTER = Painter(STREET, depth_limit=80.0)


def test_classes_have_the_colours_of_their_set_and_ignored_is_black() -> None:
    picture = class_colours(np.array([[0, 13, 255]], np.uint8), STREET)

    assert picture[0].tolist() == [[128, 64, 128], [0, 0, 142], [0, 0, 0]]


def test_nearer_is_brighter_and_unknown_is_black() -> None:
    picture = depth_colours(np.array([[2.0, 5.0, 20.0, 80.0, 0.0]]), 80.0)

    brightness = picture[0].astype(int).sum(axis=-1)
    assert (np.diff(brightness[:4]) < 0).all()
    assert brightness[4] == 0


def test_normals_by_hand() -> None:
    normals = np.zeros((3, 1, 3), np.float32)
    normals[2, 0, 0], normals[0, 0, 1] = 1, -1

    assert normal_colours(normals)[0].tolist() == [[128, 128, 255], [0, 128, 128], [0, 0, 0]]


def test_wrong_classes_are_red_right_ones_faded_unknown_ones_grey() -> None:
    image = np.full((1, 3, 3), 200, np.uint8)
    labels = np.array([[1, 1, 255]], np.uint8)

    picture = PAINTER.errors("semseg", np.array([[1, 2, 2]], np.uint8), labels, image)

    assert picture[0].tolist() == [[130, 130, 130], [235, 64, 52], [90, 90, 90]]


@pytest.mark.parametrize("task", ["depth", "normals"])
def test_larger_errors_are_brighter(task: str) -> None:
    image = np.zeros((1, 3, 3), np.uint8)
    if task == "depth":
        labels = np.array([[10.0, 10.0, 0.0]])
        values = np.array([[10.5, 14.0, 3.0]])
    else:
        labels = np.array([[[0.0, 0, 0]], [[0, 0, 0]], [[1, 1, 0]]])
        values = np.array([[[0.1, 0.7, 0]], [[0, 0, 0]], [[0.995, 0.714, 1]]])

    picture = PAINTER.errors(task, values, labels, image)

    small, large = (int(pixel.astype(int).sum()) for pixel in picture[0, :2])
    assert small < large
    assert picture[0, 2].tolist() == [90, 90, 90]


def test_marks_and_attention_share_their_colours() -> None:
    image = np.zeros((32, 48, 3), np.uint8)
    weights = np.zeros((2, 4, 6))
    weights[0, 0, 0] = weights[1, 3, 5] = 1.0

    marked = mark(image, [(5, 6), (20, 30)])
    shown = attended(image, weights)

    assert [marked[5, 6].tolist(), marked[20, 30].tolist()] == [list(MARKS[0]), list(MARKS[1])]
    for (row, column), colour in zip([(3, 3), (28, 44)], MARKS[:2], strict=True):
        assert np.abs(shown[row, column] - 0.85 * np.array(colour)).max() < 1.5
    assert shown[16, 24].tolist() == [0, 0, 0]
    assert (image == 0).all()


def panels() -> list[Panel]:
    rng = np.random.default_rng(0)
    tiles = [
        Tile(f"tile {i}", rng.integers(0, 255, (8, 12, 3), dtype=np.uint8), "labels")
        for i in range(3)
    ]
    return [Panel("first", tuple(tiles)), Panel("second", tuple(tiles[:2]))]


def test_a_folder_of_panels_is_read_back_and_twice_the_same(tmp_path: Path) -> None:
    write_panels(tmp_path / "a", panels())
    write_panels(tmp_path / "b", panels())

    index = json.loads((tmp_path / "a" / "index.json").read_text())
    assert [panel["title"] for panel in index] == ["first", "second"]
    for panel, written in zip(index, panels(), strict=True):
        for entry, tile in zip(panel["tiles"], written.tiles, strict=True):
            bgr = cv2.imread(str(tmp_path / "a" / entry["file"]))
            assert (bgr[..., ::-1] == tile.picture).all()
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_what_was_in_the_folder_is_replaced(tmp_path: Path) -> None:
    write_panels(tmp_path / "a", panels())

    write_panels(tmp_path / "a", panels()[1:])

    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "0-0.png",
        "0-1.png",
        "index.json",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_sheet_has_a_row_per_panel() -> None:
    picture = sheet(panels(), scale=2, gap=6)

    assert picture.shape == (2 * (16 + 6), 3 * (24 + 6), 3)
    assert (
        picture[:16, :24] == np.repeat(np.repeat(panels()[0].tiles[0].picture, 2, 0), 2, 1)
    ).all()
