"""Films and folders of pictures, read and written frame by frame; a whole film is never kept.

H W rows and columns. PyAV is an extra (`video`) and is imported only here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_FOLDER_FPS = 10.0
_GAP = 1.5
"""A frame that comes more than this many frame times after the one before starts anew."""
_WHOLE = 0.95
"""Share of the promised frames that a film must have; some files promise a few too many."""


@dataclass(frozen=True)
class VideoFrame:
    """One frame of a film.

    Attributes:
        picture: RGB, (H, W, 3).
        cut: Whether time jumps before it.
    """

    picture: Picture
    cut: bool = False


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a film before it is decoded.

    Attributes:
        fps: Frames per second; of a folder of pictures it is a mere assumption.
        frames: Number of frames; None if the file does not say.
    """

    fps: float
    frames: int | None


def probe(path: Path) -> VideoInfo:
    """Look at a film or at a folder of pictures.

    Raises:
        ValueError: If it is missing, empty, or no film.
    """
    if path.is_dir():
        return VideoInfo(_FOLDER_FPS, len(_pictures(path)))
    with _opened(path) as container:
        stream = container.streams.video[0]
        return VideoInfo(float(stream.average_rate or _FOLDER_FPS), stream.frames or None)


def read_frames(path: Path) -> Iterator[VideoFrame]:
    """Decode a film, or the pictures of a folder in the order of their names.

    Raises:
        ValueError: If it is missing, empty, or cannot be decoded; the frame is named.
    """
    if path.is_dir():
        yield from (VideoFrame(_read_picture(name)) for name in _pictures(path))
        return
    count = 0
    with _opened(path) as container:
        for frame in _decoded(path, container):
            count += 1
            yield frame
    if not count:
        raise ValueError(f"{path}: the video holds no frame")


class VideoWriter:
    """Encodes pictures as H.264 in an .mp4; the file appears under its name when it is whole.

    Use as a context: an exception inside leaves no file.
    """

    def __init__(self, path: Path, *, fps: float) -> None:
        """Prepare.

        Args:
            path: The film to be.
            fps: Frames per second.
        """
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._rate = Fraction(fps).limit_denominator(1001)
        self._container: Any = None
        self._stream: Any = None

    def __enter__(self) -> VideoWriter:
        """Open the partial file."""
        self._container = _av().open(str(self._partial), "w", format="mp4")
        return self

    def add(self, picture: Picture) -> None:
        """Append a picture, RGB (H, W, 3); all of one size, H and W even."""
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=self._rate)
            self._stream.height, self._stream.width = picture.shape[:2]
            self._stream.pix_fmt = "yuv420p"
            self._stream.thread_count = 1
            self._stream.options = {"crf": "20", "preset": "veryfast"}
        frame = _av().VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def __exit__(self, kind: object, *_: object) -> None:
        """Finish the film, or drop it after an exception."""
        whole = kind is None and self._stream is not None
        if whole:
            self._container.mux(self._stream.encode(None))
        self._container.close()
        if whole:
            self._partial.replace(self._path)
        else:
            self._partial.unlink(missing_ok=True)


def working_size(height: int, width: int, *, rows: int, multiple: int) -> tuple[int, int]:
    """The size at which a model sees a film: about `rows` high, the aspect kept.

    Both sides are rounded to a multiple; the aspect changes by at most half of one.

    Args:
        height: Of the film.
        width: Of the film.
        rows: Wished height.
        multiple: What both sides must be divisible by.
    """
    sides = (rows, rows * width / height)
    first, second = (max(multiple, multiple * round(side / multiple)) for side in sides)
    return first, second


def resized(picture: Picture, size: tuple[int, int]) -> Picture:
    """A picture at another size (rows, columns); averaged when it shrinks."""
    if picture.shape[:2] == size:
        return picture
    shrinks = size[0] * size[1] < picture.shape[0] * picture.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=how), np.uint8)


def _pictures(folder: Path) -> list[Path]:
    names = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not names:
        raise ValueError(f"{folder}: no pictures here (expected {', '.join(IMAGE_SUFFIXES)})")
    return names


def _read_picture(path: Path) -> Picture:
    data = np.fromfile(path, np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if picture is None:
        raise ValueError(f"{path}: cannot be decoded as a picture")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def _av() -> Any:
    try:
        import av  # optional extra, slow to import
    except ImportError:
        raise ValueError("films need PyAV, the extra `video`: pip install 'mila[video]'") from None
    return av


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A film with a picture track, closed again whatever happens."""
    if not path.exists():
        raise ValueError(f"{path}: no such file; expected a film or a folder of pictures")
    av = _av()
    try:
        container = av.open(str(path))
    except av.error.FFmpegError as error:
        raise ValueError(f"{path}: cannot be read as a video ({error.strerror})") from None
    with container:
        if not container.streams.video:
            raise ValueError(f"{path}: has no picture track")
        yield container


def _decoded(path: Path, container: Any) -> Iterator[VideoFrame]:
    """The frames; a jump in time is a cut."""
    stream = container.streams.video[0]
    stream.thread_count = 1  # the codec's threads and torch's would compete
    frame_time = 1 / float(stream.average_rate) if stream.average_rate else math.inf
    before: float | None = None
    count = 0
    frames = container.decode(stream)
    while True:
        try:
            frame = next(frames, None)
        except _av().error.FFmpegError as error:
            raise ValueError(
                f"{path}: frame {count} cannot be decoded ({error.strerror})"
            ) from None
        if frame is None:
            break
        count += 1
        cut = None not in (before, frame.time) and frame.time - before > _GAP * frame_time
        before = frame.time
        yield VideoFrame(frame.to_ndarray(format="rgb24"), cut)
    if count < _WHOLE * stream.frames:
        raise ValueError(f"{path}: ends after {count} of {stream.frames} frames; is it truncated?")
