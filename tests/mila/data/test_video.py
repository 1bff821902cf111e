"""Films and folders of pictures: read back what was written, and say what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mila.data.video import VideoWriter, probe, read_frames, resized, working_size


def picture(level: int, height: int = 48, width: int = 64) -> np.ndarray:
    ramp = np.linspace(0, 60, width, dtype=np.uint8)
    return np.stack(
        [np.full((height, width), level, np.uint8), *2 * [np.tile(ramp, (height, 1))]], -1
    )


def write_film(path: Path, count: int = 12, fps: float = 25.0) -> list[np.ndarray]:
    pictures = [picture(20 * i) for i in range(count)]
    with VideoWriter(path, fps=fps) as film:
        for shown in pictures:
            film.add(shown)
    return pictures


def test_a_film_is_read_back(tmp_path: Path) -> None:
    written = write_film(tmp_path / "film.mp4")

    frames = list(read_frames(tmp_path / "film.mp4"))

    info = probe(tmp_path / "film.mp4")
    assert (info.fps, info.frames) == (25.0, 12)
    assert [frame.cut for frame in frames] == [False] * 12
    for frame, wanted in zip(frames, written, strict=True):
        assert frame.picture.shape == wanted.shape
        # Chroma is halved and quantised: colours come back nearly.
        assert np.abs(frame.picture.astype(int) - wanted).mean() < 6
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]


def test_an_exception_leaves_no_film(tmp_path: Path) -> None:
    def start_and_stop() -> None:
        with VideoWriter(tmp_path / "a.mp4", fps=5) as film:
            film.add(picture(0))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        start_and_stop()

    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_pictures_is_read_in_order(tmp_path: Path) -> None:
    for i in (2, 0, 1):
        cv2.imwrite(str(tmp_path / f"{i:03d}.png"), picture(50 * i)[..., ::-1])
    (tmp_path / "notes.txt").write_text("not a picture")

    frames = list(read_frames(tmp_path))

    assert probe(tmp_path).frames == 3
    assert [int(frame.picture[0, 0, 0]) for frame in frames] == [0, 50, 100]


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "no pictures here"),
        (lambda path: path.write_bytes(b"this is no film" * 99), "cannot be read as a video"),
        (lambda path: path.write_bytes(b""), "cannot be read as a video"),
    ],
)
def test_what_is_no_film_is_named(tmp_path: Path, make, words: str) -> None:
    path = tmp_path / "input.mp4"
    make(path)

    with pytest.raises(ValueError, match=words) as caught:
        list(read_frames(path))

    assert str(path) in str(caught.value)


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"\x89PNG but not really")

    with pytest.raises(ValueError, match=r"0\.png: cannot be decoded"):
        list(read_frames(tmp_path))


def test_a_truncated_film_is_refused(tmp_path: Path) -> None:
    import av

    path = tmp_path / "film.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        rng = np.random.default_rng(0)
        for _ in range(40):
            noise = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])

    with pytest.raises(ValueError, match=r"film\.mp4: (ends after|frame \d+ cannot)"):
        list(read_frames(path))


@pytest.mark.parametrize(
    "height, width, expected",
    [(540, 960, (96, 176)), (96, 192, (96, 192)), (1080, 1080, (96, 96)), (10, 2000, (96, 19200))],
)
def test_working_size_keeps_the_aspect(height: int, width: int, expected: tuple[int, int]) -> None:
    assert working_size(height, width, rows=96, multiple=16) == expected


def test_resized_averages_when_it_shrinks() -> None:
    board = np.indices((8, 8)).sum(axis=0) % 2 * 200
    small = resized(np.repeat(board[..., None].astype(np.uint8), 3, -1), (4, 4))

    assert small.shape == (4, 4, 3)
    assert (small == 100).all()
