"""The table of tasks: what each one predicts, in which unit, and what its labels ignore.

A new task is a new row; nothing else in the library names a task.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["classes", "depth", "normals"]

IGNORE_LABEL = 255
"""Class id of pixels that do not count."""

INVALID_DEPTH = 0.0
"""Depth of pixels without a measurement."""


@dataclass(frozen=True)
class LabelSet:
    """Names and colours (RGB, 0..255) of the classes, in the order of their ids."""

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]

    def __len__(self) -> int:
        """Number of classes, the ignored id left out."""
        return len(self.names)


@dataclass(frozen=True)
class Task:
    """One dense prediction.

    Attributes:
        name: Word used in settings, labels, predictions and metric keys.
        kind: Decides output, loss and metrics.
        metric: Key of the main metric.
        higher_is_better: Direction of the main metric.
    """

    name: str
    kind: Kind
    metric: str
    higher_is_better: bool

    def channels(self, label_set: LabelSet) -> int:
        """Output channels of the head."""
        return {"classes": len(label_set), "depth": 1, "normals": 3}[self.kind]


TASKS: dict[str, Task] = {
    "semseg": Task("semseg", "classes", "mean_iou", True),
    "depth": Task("depth", "depth", "abs_rel", False),
    "normals": Task("normals", "normals", "mean_angle_deg", False),
}

_CITYSCAPES = (
    ("road", (128, 64, 128)),
    ("sidewalk", (244, 35, 232)),
    ("building", (70, 70, 70)),
    ("wall", (102, 102, 156)),
    ("fence", (190, 153, 153)),
    ("pole", (153, 153, 153)),
    ("traffic light", (250, 170, 30)),
    ("traffic sign", (220, 220, 0)),
    ("vegetation", (107, 142, 35)),
    ("terrain", (152, 251, 152)),
    ("sky", (70, 130, 180)),
    ("person", (220, 20, 60)),
    ("rider", (255, 0, 0)),
    ("car", (0, 0, 142)),
    ("truck", (0, 0, 70)),
    ("bus", (0, 60, 100)),
    ("train", (0, 80, 100)),
    ("motorcycle", (0, 0, 230)),
    ("bicycle", (119, 11, 32)),
)

_CAMVID = (
    ("sky", (70, 130, 180)),
    ("building", (70, 70, 70)),
    ("pole", (153, 153, 153)),
    ("road", (128, 64, 128)),
    ("pavement", (244, 35, 232)),
    ("tree", (107, 142, 35)),
    ("sign", (220, 220, 0)),
    ("fence", (190, 153, 153)),
    ("car", (0, 0, 142)),
    ("pedestrian", (220, 20, 60)),
    ("bicyclist", (119, 11, 32)),
)


def _numbered(count: int) -> LabelSet:
    """Classes known by number only, with well-spread fixed colours."""
    colours = tuple(
        ((37 * i) % 256, (97 * i + 60) % 256, (173 * i + 120) % 256) for i in range(count)
    )
    return LabelSet(tuple(f"class {i + 1}" for i in range(count)), colours)


LABEL_SETS: dict[str, LabelSet] = {
    "cityscapes": LabelSet(*zip(*_CITYSCAPES, strict=True)),
    "camvid": LabelSet(*zip(*_CAMVID, strict=True)),
    "nyud40": _numbered(40),
    "nyud13": _numbered(13),
}
"""Every label set a data set may name; ids run from 0, 255 is ignored."""
