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
    existing,
    images_by_stem,
    listed,
    look_up,
    read_rgb,
    read_values,
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
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        images = images_by_stem(folder, "_image") if folder.name.isdigit() else {}
        if images:
            sequences[folder.name] = {
                int(stem): _Files(
                    image, existing(folder / f"{stem}_panoptic.png"), _depth_beside(folder, stem)
                )
                for stem, image in images.items()
            }
    return sequences


def _official(root: Path) -> dict[str, dict[int, _Files]]:
    """The same in the layout as downloaded; no depth."""
    sequences = {}
    for folder in sorted((root / "training" / "image_02").glob("[0-9]*")):
        part = "val" if int(folder.name) in _VALIDATION else "train"
        labels = images_by_stem(root / "panoptic_maps" / part / folder.name)
        images = images_by_stem(folder)
        sequences[folder.name] = {
            int(stem): _Files(image, labels.get(stem), None) for stem, image in images.items()
        }
    return sequences


def _depth_beside(folder: Path, stem: str) -> Path | None:
    for suffix in (".png", ".tif", ".tiff"):
        if path := existing(folder / f"{stem}_depth{suffix}"):
            return path
    return None


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
    if files.panoptic:
        panoptic = read_values(files.panoptic, np.uint8, channels=3)
        semseg = look_up(panoptic[..., 0], _TRAIN_IDS, files.panoptic)
    if files.depth:
        depth = _metres(files.depth)
        if semseg is not None and semseg.shape == depth.shape:
            depth[semseg == _SKY] = 0  # the network that made it answers there too
    return Frame(image, semseg=semseg, depth=depth)


def _metres(path: Path) -> npt.NDArray[np.float32]:
    """16-bit PNG in 1/256 m, or float TIFF in metres; 0 is none in both."""
    values = read_values(path, np.uint16, np.float32)
    scale = _DEPTH_UNITS if values.dtype == np.uint16 else 1.0
    return np.nan_to_num(values.astype(np.float32) / np.float32(scale), nan=0, posinf=0, neginf=0)


KITTI_STEP = DataSet(
    layout="<sequence>/<frame>_image.png, _panoptic.png, _depth.png|tif, or as downloaded",
    words={"frames": "frames of a clip (20)"},
    find=find,
)
