"""KITTI-STEP: 10 frames/s street video, every frame labelled; pseudo depth where it is given.

Two layouts: `<sequence>/<frame>_image.png` beside `_panoptic.png` and `_depth.png`, or the official
one, `training/image_02/<sequence>/<frame>.png` and `panoptic_maps/<split>/<sequence>/<frame>.png`.

Source: Weber et al., STEP (NeurIPS 2021). Panoptic maps hold the trainId in red and the instance in
green and blue; 255 is void, and so is 32 in some exports.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mila.data.sample import Split
from pipeline.datasets.files import (
    images_by_stem,
    listed,
    look_up,
    read_rgb,
    read_values,
    refuse_orphans,
)
from pipeline.datasets.recording import DataSet, Frame, Recording, key_of, windows
from pipeline.words import whole_number

_FPS = 10.0
_VALIDATION = {2, 6, 7, 8, 10, 13, 14, 16, 18}
_SKY = 10
_DEPTH_UNITS = 256.0
_TRAIN_IDS = np.full(256, -1)
_TRAIN_IDS[:19] = range(19)
_TRAIN_IDS[[32, 255]] = 255


@dataclass(frozen=True)
class _Files:
    """The files of one frame."""

    image: Path
    panoptic: Path | None
    depth: Path | None


def find(root: Path, words: Mapping[str, str]) -> list[Recording]:
    """Clips of consecutive frames; the official validation sequences are split val."""
    length = whole_number(words, "frames", 20, least=2)
    sequences = _official(root) or _flat(root)
    if not sequences:
        raise ValueError(
            f"{root}: expected <sequence>/<frame>_image.png, or training/image_02/<sequence> and "
            "panoptic_maps"
        )
    recordings = []
    for sequence, frames in sequences.items():
        _refuse_gaps(root, sequence, frames)
        split: Split = "val" if int(sequence) in _VALIDATION else "train"
        files = [frames[number] for number in sorted(frames)]
        for window in windows(len(files), length):
            recordings.append(_recording(sequence, split, window, files))
    return recordings


def _flat(root: Path) -> dict[str, dict[int, _Files]]:
    """Sequence to frame number to files, in the layout with all files side by side."""
    sequences = {}
    for folder in _sequences(root):
        parts = [images_by_stem(folder, f"_{what}") for what in ("image", "panoptic", "depth")]
        if frames := _frames(*parts):
            sequences[folder.name] = frames
    return sequences


def _official(root: Path) -> dict[str, dict[int, _Files]]:
    """The same in the layout as downloaded; no depth."""
    sequences = {}
    for folder in _sequences(root / "training" / "image_02"):
        part = "val" if int(folder.name) in _VALIDATION else "train"
        labels = images_by_stem(root / "panoptic_maps" / part / folder.name)
        if frames := _frames(images_by_stem(folder), labels, {}):
            sequences[folder.name] = frames
    if sequences and not (root / "panoptic_maps").is_dir():
        raise ValueError(f"{root / 'panoptic_maps'}: no such folder, and the labels lie there")
    return sequences


def _sequences(folder: Path) -> list[Path]:
    """Its folders that are named by a number."""
    inside = folder.iterdir() if folder.is_dir() else []
    return sorted(path for path in inside if path.name.isdecimal() and path.is_dir())


def _frames(
    images: Mapping[str, Path], labels: Mapping[str, Path], depths: Mapping[str, Path]
) -> dict[int, _Files]:
    """Frame number to files, from files by their names' numbers."""
    refuse_orphans(labels, images)
    refuse_orphans(depths, images, "depth of")
    for stem, image in images.items():
        if not stem.isdecimal():
            raise ValueError(f"{image}: expected a name that begins with the frame's number")
    return {int(s): _Files(path, labels.get(s), depths.get(s)) for s, path in images.items()}


def _refuse_gaps(root: Path, sequence: str, frames: Mapping[int, _Files]) -> None:
    missing = sorted(set(range(min(frames), max(frames) + 1)) - set(frames))
    if missing:
        raise ValueError(f"{root}, sequence {sequence}: no image for frames {listed(missing)}")


def _recording(sequence: str, split: Split, window: range, files: list[_Files]) -> Recording:
    return Recording(
        key=key_of(split, sequence, f"{window.start:06d}"),
        video=f"kitti-step-{sequence}",
        split=split,
        fps=_FPS,
        start=window.start,
        frames=tuple(partial(_read, files[i]) for i in window),
        depth_units_per_metre=_DEPTH_UNITS,
    )


def _read(files: _Files) -> Frame:
    image = read_rgb(files.image)
    semseg = depth = None
    sources = {"image": files.image, "semseg": files.panoptic, "depth": files.depth}
    if files.panoptic:
        panoptic = read_values(files.panoptic, np.uint8, channels=3)
        semseg = look_up(panoptic[..., 0], _TRAIN_IDS, files.panoptic)
    if files.depth:
        depth = _metres(files.depth)
        if semseg is not None and semseg.shape == depth.shape:
            depth[semseg == _SKY] = 0  # the network that made it answers there too
    known = {name: path for name, path in sources.items() if path}
    return Frame(image, semseg=semseg, depth=depth, files=known)


def _metres(path: Path) -> npt.NDArray[np.float32]:
    """16-bit PNG in 1/256 m, or float TIFF in metres; 0 is none in both."""
    values = read_values(path, np.uint16, np.float32, np.float64)
    scale = _DEPTH_UNITS if values.dtype == np.uint16 else 1.0
    return np.nan_to_num(values.astype(np.float32) / np.float32(scale), nan=0, posinf=0, neginf=0)


KITTI_STEP = DataSet(
    layout="<sequence>/<frame>_image.png, _panoptic.png, _depth.png|tif, or as downloaded",
    words={"frames": "frames of a clip (20)"},
    find=find,
)
