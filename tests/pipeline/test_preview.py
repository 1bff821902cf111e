import base64
import re

import cv2
import numpy as np
import pytest

from mila.data.sample import ClipArrays
from pipeline.preview import main
from pipeline.previewing import depth_colours, flow_colours, known_pixels, shown_frames


@pytest.fixture
def data(tmp_path, make_clip, make_shards):
    clips = [make_clip(f"train-{i}", frames=4) for i in range(5)]
    clips[0] = make_clip("train-0", frames=4, normals=None, flow=None)
    make_shards(tmp_path / "data", [*clips, make_clip("val-0", frames=1, flow=None)])
    return tmp_path / "data"


def pictures(text: str) -> list[np.ndarray]:
    found = re.findall(r"data:image/jpeg;base64,([^\"]+)", text)
    decoded = [
        cv2.imdecode(np.frombuffer(base64.b64decode(f), np.uint8), cv2.IMREAD_COLOR) for f in found
    ]
    assert all(picture is not None for picture in decoded)
    return decoded


def test_the_page_holds_its_clips_and_nothing_else(data, tmp_path, capsys):
    out = tmp_path / "preview.html"

    assert main([f"data={data}", f"out={out}", "clips=2", "frames=3"]) == 0

    text = out.read_text()
    assert "3 of 6 clips" in capsys.readouterr().out
    for key in ("train-0", "train-4", "val-0"):
        assert f"<h2>{key}</h2>" in text
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text), "no other file is needed"
    # train-0: 3 images, classes, depths, known and 2 differences; train-4: normals, 2 flows too;
    # val-0: one frame of image, classes, depth, normals, known.
    assert len(pictures(text)) == (4 * 3 + 2) + (5 * 3 + 2) + 5
    assert "traffic light" in text
    cells = re.findall(r"<td>([^<]*)</td>", text.partition("</table>")[0])
    labels = "semseg 20, depth 20, normals 16, flow 12"
    assert cells[:6] == ["train", "5", "5", "20", "18x26", labels]
    assert cells[6:] == ["val", "1", "1", "1", "18x26", "semseg 1, depth 1, normals 1"]


def test_stills_lie_on_their_side(data, tmp_path):
    main([f"data={data}", f"out={tmp_path / 'p.html'}", "clips=1", "frames=2"])

    clip, still = (tmp_path / "p.html").read_text().split("<h2>")[1:]
    assert clip.count("<tr>") == 1 + 5, "frames beside each other, kinds below"
    assert still.count("<tr>") == 2, "kinds beside each other"


def test_same_data_gives_the_same_page(data, tmp_path):
    for name in ("a", "b"):
        main([f"data={data}", f"out={tmp_path / name}.html"])

    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_sparse_labels_are_shown():
    assert shown_frames(10, list(range(10)), 3) == [0, 4, 9]
    assert shown_frames(30, [19], 3) == [0, 14, 19, 29]
    assert shown_frames(1, [], 5) == [0]


def test_known_pixels_tell_class_from_depth():
    semseg = np.array([[0, 255], [0, 255]], np.uint8)
    depth = np.array([[1, 1], [0, 0]], np.float32)

    shown = known_pixels(semseg, depth)

    assert shown[0, 0].tolist() == [255, 255, 255]
    assert shown[0, 1, 2] > shown[0, 1, 0], "blue: depth only"
    assert shown[1, 0, 0] > shown[1, 0, 2], "orange: class only"
    assert shown[1, 1].tolist() == [0, 0, 0]


def test_flow_shows_direction_speed_and_what_is_unknown():
    flow = np.zeros((1, 100, 2), np.float32)
    flow[0, 0] = (5, 0)
    flow[0, 1] = (-5, 0)
    flow[0, 2] = np.nan

    shown = flow_colours(flow)

    assert shown[0, 0].tolist() == [255, 0, 0]
    np.testing.assert_allclose(shown[0, 1], [0, 255, 255], atol=2)
    assert shown[0, 2].tolist() == [0, 0, 0]
    assert shown[0, 3].tolist() == [255, 255, 255], "nothing moves"


def test_near_is_bright_and_unknown_is_black():
    shown = depth_colours(np.array([[1, 4, 10, 0]], np.float32), 1, 10).sum(axis=-1)[0]

    assert shown[0] > shown[1] > shown[2] > shown[3] == 0


def test_clip_without_any_label_is_drawn(tmp_path, make_clip, make_shards):
    clip: ClipArrays = make_clip("test-0", frames=2, normals=None, flow=None)
    clip.semseg[:], clip.depth[:] = 255, 0
    make_shards(tmp_path / "data", [clip])

    assert main([f"data={tmp_path / 'data'}", f"out={tmp_path / 'p.html'}"]) == 0
    assert "labels: none" in (tmp_path / "p.html").read_text()


def test_bad_words_get_one_sentence(tmp_path, capsys):
    assert main([f"data={tmp_path}", f"out={tmp_path / 'p.html'}"]) == 2
    assert "no manifest there" in capsys.readouterr().err
    assert main([f"data={tmp_path}", f"out={tmp_path / 'p.html'}", "frames=0"]) == 2
    assert not (tmp_path / "p.html").exists()
