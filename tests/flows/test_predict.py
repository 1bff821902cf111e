"""The predict verb on a small film and on bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from flows.predict import main
from mila.data.video import VideoWriter, probe, read_frames


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    rng = np.random.default_rng(0)
    with VideoWriter(path, fps=10) as writer:
        for i in range(7):
            shade = np.full((48, 80, 3), 30 * i, np.uint8)
            writer.add(shade + rng.integers(0, 20, shade.shape, dtype=np.uint8))
    return path


def test_a_film_is_drawn_and_timed(film: Path, exported_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    words = [f"input={film}", f"model={exported_model}", f"out={out}"]
    code = main([*words, "height=32", "keyframe_interval=3"])

    assert code == 0
    assert sorted(path.name for path in out.iterdir()) == ["latency.json", "overlay.mp4"]
    page = json.loads((out / "latency.json").read_text())
    assert [frame["keyframe"] for frame in page["frames"]] == [True, False, False] * 2 + [True]
    assert page["summary"]["keyframes"]["count"] == 3
    assert page["summary"]["non_keyframes"]["count"] == 4
    assert page["summary"]["all"]["max"] == max(f["milliseconds"] for f in page["frames"])
    drawn = list(read_frames(out / "overlay.mp4"))
    assert len(drawn) == 7
    assert probe(out / "overlay.mp4").fps == 10
    height, width = drawn[0].picture.shape[:2]
    assert (height > 48, width) == (True, 160)  # Film and depth side by side, times below.


def test_a_folder_of_pictures_of_two_sizes(exported_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, width in enumerate((64, 64, 96)):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((48, width, 3), 40 * i, np.uint8))

    code = main([f"input={folder}", f"model={exported_model}", f"out={tmp_path / 'out'}"])

    assert code == 0
    page = json.loads((tmp_path / "out" / "latency.json").read_text())
    assert [frame["offset"] for frame in page["frames"]] == [0, 1, 0]


def test_adaptive_keyframes(film: Path, exported_model: Path, tmp_path: Path) -> None:
    words = [f"input={film}", f"model={exported_model}", f"out={tmp_path / 'out'}", "height=32"]

    assert main([*words, "uncertainty=0", "keyframe_interval=6", "frames=4"]) == 0

    page = json.loads((tmp_path / "out" / "latency.json").read_text())
    assert [frame["keyframe"] for frame in page["frames"]] == [True] * 4


def no_input(path: Path) -> Path:
    return path / "none.mp4"


def empty_folder(path: Path) -> Path:
    (path / "empty").mkdir()
    return path / "empty"


def not_a_film(path: Path) -> Path:
    (path / "text.mp4").write_text("not a film")
    return path / "text.mp4"


def cut_film(path: Path) -> Path:
    whole = path / "film.mp4"
    half = path / "half.mp4"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    return half


@pytest.mark.parametrize(
    "make, sentence",
    [
        (no_input, "none.mp4: no such file"),
        (empty_folder, "empty: no pictures here"),
        (not_a_film, "text.mp4: cannot be read as a video"),
        (cut_film, "half.mp4: cannot be read as a video"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    make: Callable[[Path], Path],
    sentence: str,
    film: Path,
    exported_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = make(film.parent)

    code = main([f"input={source}", f"model={exported_model}", f"out={tmp_path / 'out'}"])

    assert code == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_was_there_survives_a_failure(
    film: Path, exported_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "latency.json").write_text("old")
    for i in range(3):
        cv2.imwrite(str(out / f"{i}.png"), np.zeros((48, 64, 3), np.uint8))
    (out / "2.png").write_bytes(b"damaged")

    assert main([f"input={out}", f"model={exported_model}", f"out={out}"]) == 2

    assert (out / "latency.json").read_text() == "old"
    assert sorted(p.name for p in out.iterdir()) == ["0.png", "1.png", "2.png", "latency.json"]


@pytest.mark.parametrize(
    "word, sentence",
    [
        ("keyframe_interval=0", "keyframe_interval=0: expected a whole number, 1 or more"),
        ("uncertainty=2", "uncertainty=2: expected a number in 0..1"),
        ("hight=32", "did you mean height"),
        ("model=/nowhere", "/nowhere: no exported model here"),
    ],
)
def test_bad_words(
    word: str, sentence: str, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"input={film}", f"out={tmp_path / 'out'}", word]) == 2
    assert sentence in capsys.readouterr().err
