"""CamVid, 11-class version: stills 1 s apart to train on, and runs of consecutive labelled frames.

Folders `<part>` and `<part>annot` for the parts train, val and test; names `<video>_<number>`. The
number counts 30 per second: steps of 30 are stills, steps of 2 a run at 15 frames/s.

Source: CamVid in the 11-class form of the SegNet tutorial; label 11 is unlabelled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np

from mila.data.sample import Split
from pipeline.datasets.files import (
    images_by_stem,
    look_up,
    read_rgb,
    read_values,
    refuse_orphans,
    trailing_number,
)
from pipeline.datasets.recording import DataSet, Frame, Recording, choice, key_of

NUMBERS_PER_SECOND = 30
_RUN_STEP = 2
_FPS = NUMBERS_PER_SECOND / _RUN_STEP

_SHOWS_THE_RUN = {"0016E5": 6000}
"""Training stills of this video from this number on show the street of the 15 frames/s run."""

_VALIDATION_SHARE = 0.1
_GAP = 3
"""Stills left out between the training and the validation block of a video."""

_NATIVE = np.array([*range(11), 255])
# sky, building, pole, road, pavement, tree, sign, fence, car, pedestrian, bicyclist, unlabelled
_CITYSCAPES = np.array([10, 2, 5, 0, 1, 8, 7, 4, 13, 11, 18, 255])
_TABLES = {"cityscapes": _CITYSCAPES, "native": _NATIVE}


@dataclass(frozen=True)
class _Still:
    """One image of a part."""

    video: str
    number: int
    image: Path
    label: Path | None


def find(root: Path, words: Mapping[str, str]) -> list[Recording]:
    """Training stills (split train, the last tenth of each video val) and runs (split test).

    Stills of the other parts are left out: without frames before them no offset can be scored.
    A held-out block counts as a video of its own.
    """
    labels = choice(words, "labels", ("cityscapes", "native"))
    parts = {part: _stills(root, part) for part in ("train", "val", "test")}
    if not parts["train"] and not parts["val"]:
        raise ValueError(f"{root}: expected CamVid's folders train, trainannot, val, valannot")
    recordings = []
    for video, stills in _by_video(parts["train"]):
        recordings += _training(video, stills, labels)
    for part in ("val", "test"):
        for video, stills in _by_video(parts[part]):
            recordings += [_run(video, run, labels) for run in _runs(stills)]
    return recordings


def _stills(root: Path, part: str) -> list[_Still]:
    """Images of one part with their labels; a label without an image is an error."""
    images = images_by_stem(root / part)
    labels = images_by_stem(root / f"{part}annot")
    refuse_orphans(labels, images)
    stills = []
    for stem, image in images.items():
        video = stem.rpartition("_")[0]
        stills.append(_Still(video, trailing_number(stem, image), image, labels.get(stem)))
    return sorted(stills, key=lambda still: (still.video, still.number))


def _by_video(stills: Sequence[_Still]) -> list[tuple[str, list[_Still]]]:
    return [(video, list(group)) for video, group in groupby(stills, lambda still: still.video)]


def _training(video: str, stills: Sequence[_Still], labels: str) -> list[Recording]:
    """One-frame clips of the labelled stills that do not show the street of the run."""
    limit = _SHOWS_THE_RUN.get(video)
    used = [s for s in stills if s.label and (limit is None or s.number < limit)]
    held_out = round(len(used) * _VALIDATION_SHARE)
    blocks: list[tuple[Split, Sequence[_Still]]] = [("train", used)]
    if held_out:
        blocks = [("train", used[: -held_out - _GAP]), ("val", used[-held_out:])]
    return [
        _recording(f"{video}-{split}", split, [still], labels)
        for split, block in blocks
        for still in block
    ]


def _runs(stills: Sequence[_Still]) -> list[list[_Still]]:
    """Stretches of at least two frames, one step apart."""
    runs: list[list[_Still]] = []
    for still in stills:
        if runs and still.number == runs[-1][-1].number + _RUN_STEP:
            runs[-1].append(still)
        else:
            runs.append([still])
    return [run for run in runs if len(run) > 1]


def _run(video: str, run: Sequence[_Still], labels: str) -> Recording:
    """A run is one clip: every frame keeps all its predecessors."""
    return _recording(f"{video}-run-{run[0].number:05d}", "test", run, labels)


def _recording(video: str, split: Split, stills: Sequence[_Still], labels: str) -> Recording:
    first = stills[0].number
    return Recording(
        key=key_of(split, video, f"{first:06d}"),
        video=video,
        split=split,
        fps=_FPS if len(stills) > 1 else 1.0,
        start=0 if len(stills) > 1 else first // NUMBERS_PER_SECOND,
        frames=tuple(partial(_read, still.image, still.label, labels) for still in stills),
        label_set="camvid" if labels == "native" else "cityscapes",
    )


def _read(image: Path, label: Path | None, labels: str) -> Frame:
    if label is None:
        return Frame(read_rgb(image), files={"image": image})
    semseg = look_up(read_values(label, np.uint8), _TABLES[labels], label)
    return Frame(read_rgb(image), semseg=semseg, files={"image": image, "semseg": label})


CAMVID = DataSet(
    layout="train, trainannot, val, valannot (and test, testannot) with <video>_<number>.png",
    words={"labels": "cityscapes (default: 11 of the 19 classes) or native (CamVid's 11)"},
    find=find,
)
