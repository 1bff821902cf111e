"""Any colour and depth sequence in the form of 7-Scenes: `frame-<number>.color.*` and `.depth.png`.

One folder is one video; folders may be nested. Depth is 16-bit, 0 and 65535 are none.

Source: 7-Scenes (Shotton et al., CVPR 2013): 640x480, 30 frames/s, millimetres; depth is in the
depth camera's view there, see the word `register`.
"""

import filecmp
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mila.data.sample import SPLITS, Split
from pipeline.datasets.files import (
    images_by_stem,
    read_rgb,
    read_values,
    refuse_orphans,
    trailing_number,
)
from pipeline.datasets.recording import DataSet, Frame, Recording, choice, key_of, windows
from pipeline.words import number, whole_number

_INVALID = (0, 65535)


@dataclass(frozen=True)
class Registration:
    """How depth is brought into the colour image: scaled about the middle, then shifted."""

    scale: float = 1.0
    right: float = 0.0
    down: float = 0.0
    """Shift in pixels."""

    def matrix(self, height: int, width: int) -> npt.NDArray[np.float64]:
        """From colour pixels to depth pixels, (2, 3)."""
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        shift = np.array([self.right, self.down])
        offset = middle - (middle + shift) / self.scale
        return np.array([[1 / self.scale, 0, offset[0]], [0, 1 / self.scale, offset[1]]])


@dataclass(frozen=True)
class _Options:
    units: float
    """Value of one metre."""
    registration: Registration


def find(root: Path, words: Mapping[str, str]) -> list[Recording]:
    """Clips of consecutive frames; a frame that repeats the one before bit for bit is left out."""
    options = _Options(number(words, "units", 1000, least=1), _registration(words))
    fps = number(words, "fps", 30, least=0.1)
    length = whole_number(words, "frames", 20, least=2)
    given: Split = choice(words, "split", SPLITS)  # type: ignore[assignment]
    recordings = []
    for folder in [root, *sorted(path for path in root.rglob("*") if path.is_dir())]:
        files = _files(folder)
        if not files:
            continue
        name = folder.name if folder == root else folder.relative_to(root).as_posix()
        split = given if "split" in words else _listed_split(folder) or given
        video = key_of(name)
        for window in windows(len(files), length):
            recording = Recording(
                key=key_of(split, name, f"{window.start:06d}"),
                video=video,
                split=split,
                fps=fps,
                start=window.start,
                frames=tuple(partial(_read, *files[i], options) for i in window),
                depth_units_per_metre=options.units,
                intrinsics=_intrinsics(folder, files[0][0], options.registration),
            )
            recordings.append(recording)
    if not recordings:
        raise ValueError(f"{root}: expected files frame-<number>.color.jpg and .depth.png")
    return recordings


def _files(folder: Path) -> list[tuple[Path, Path | None]]:
    """Colour and depth of every frame in order of its number, without exact repeats."""
    images, depths = images_by_stem(folder, ".color"), images_by_stem(folder, ".depth")
    refuse_orphans(depths, images, "depth of")
    files: list[tuple[Path, Path | None]] = []
    before: Path | None = None
    for stem in sorted(images, key=lambda stem: trailing_number(stem, images[stem])):
        if before is None or not _same(images[stem], before):
            files.append((images[stem], depths.get(stem)))
        before = images[stem]
    return files


def _same(path: Path, other: Path) -> bool:
    """Whether two files are equal; those of different size are not read."""
    try:
        return filecmp.cmp(path, other, shallow=False)
    except OSError:  # it will be named when it is read as an image
        return False


def _listed_split(folder: Path) -> Split | None:
    """7-Scenes: TrainSplit.txt and TestSplit.txt of the scene name its sequences by number."""
    splits: Sequence[tuple[str, Split]] = (("TrainSplit.txt", "train"), ("TestSplit.txt", "test"))
    for name, split in splits:
        path = folder.parent / name
        numbers = (
            {trailing_number(line, path) for line in path.read_text(errors="replace").split()}
            if path.is_file()
            else ()
        )
        if numbers and trailing_number(folder.name, folder) in numbers:
            return split
    return None


def _registration(words: Mapping[str, str]) -> Registration:
    if "register" not in words:
        return Registration()
    try:
        scale, right, down = (float(part) for part in words["register"].split(","))
    except ValueError:
        scale = right = down = float("nan")
    if not scale > 0:
        raise ValueError(
            f"register={words['register']}: expected scale,right,down such as 0.91,-8,-1"
        )
    return Registration(scale, right, down)


def _intrinsics(
    folder: Path, image: Path, registration: Registration
) -> tuple[float, float, float, float] | None:
    """Those of camera-intrinsics.txt, the depth camera's, carried over to the colour image."""
    path = folder / "camera-intrinsics.txt"
    if not path.is_file():
        return None
    try:
        matrix = np.loadtxt(path)
    except ValueError:
        matrix = np.zeros(0)
    if matrix.shape != (3, 3):
        raise ValueError(f"{path}: expected three rows of three numbers")
    height, width = read_rgb(image).shape[:2]
    onto = cv2.invertAffineTransform(registration.matrix(height, width))
    cx, cy = onto[:, :2] @ matrix[:2, 2] + onto[:, 2]
    scale = registration.scale
    return float(matrix[0, 0] * scale), float(matrix[1, 1] * scale), float(cx), float(cy)


def _read(image: Path, depth: Path | None, options: _Options) -> Frame:
    rgb = read_rgb(image)
    if depth is None:
        return Frame(rgb, files={"image": image})
    values = read_values(depth, np.uint16)
    if values.shape != rgb.shape[:2]:
        (height, width), (rows, columns) = values.shape, rgb.shape[:2]
        raise ValueError(f"{depth}: depth is {height}x{width}, its image {rows}x{columns}")
    if options.registration != Registration():
        height, width = values.shape
        values = cv2.warpAffine(
            values,
            options.registration.matrix(height, width),
            (width, height),
            flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        )
    metres = values.astype(np.float32) / np.float32(options.units)
    metres[np.isin(values, _INVALID)] = 0
    return Frame(rgb, depth=metres, files={"image": image, "depth": depth})


RGBD = DataSet(
    layout="frame-<number>.color.jpg|png and frame-<number>.depth.png, one folder per video",
    words={
        "units": "value of one metre in the depth images (1000)",
        "register": "scale,right,down that bring depth onto colour (1,0,0; 7-Scenes 0.91,-8,-1)",
        "fps": "frames per second (30)",
        "frames": "frames of a clip (20)",
        "split": "train (default), val or test for everything; else by TrainSplit.txt where given",
    },
    find=find,
)
