"""Pictures of predictions: labels, depths and normals as colours, errors, attention.

H W rows and columns, P marked pixels. Every picture is RGB, uint8, (H, W, 3).
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from mila.tasks import IGNORE_LABEL, INVALID_DEPTH, TASKS, LabelSet

Picture = npt.NDArray[np.uint8]
Array = npt.NDArray[Any]

_NEAR_M = 2.0
"""Depth shown in the brightest colour, metres."""
_WORST_DEPTH_ERROR = 0.5
"""Relative depth error shown in the brightest colour."""
_WORST_ANGLE_DEG = 45.0
"""Angle between normals shown in the brightest colour."""
_WRONG = np.array((235, 64, 52), np.float32)
_SKY = "sky"
_UNKNOWN = 90
"""Grey of pixels without truth in pictures of errors."""
INDEX_NAME = "index.json"
"""Lists the panels of a folder: titles, and tiles with title, file and kind."""
MARKS = ((255, 196, 0), (0, 200, 255), (255, 80, 200), (120, 255, 90))
"""Colours of marked pixels, in order."""


@dataclass(frozen=True)
class Tile:
    """One picture of a panel."""

    title: str
    picture: Picture
    kind: Literal["photo", "labels"] = "photo"
    """Photos may be smoothed when they are enlarged, labels not."""


@dataclass(frozen=True)
class Panel:
    """Pictures of one frame that belong side by side."""

    title: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Painter:
    """Turns values of a task into pictures."""

    label_set: LabelSet
    depth_limit: float
    """Depth shown in the darkest colour, metres."""

    def values(self, task: str, values: Array) -> Picture:
        """Colours of decided predictions or labels.

        Args:
            task: Name of the task.
            values: Ids (H, W), metres (H, W), or normals (3, H, W); ignored values come out dark.
        """
        match TASKS[task].kind:
            case "classes":
                return class_colours(values, self.label_set)
            case "depth":
                return depth_colours(values, self.depth_limit)
            case "normals":
                return normal_colours(values)

    def shown(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Answers (H, W) of one frame by task, with unknown depth where the classes say sky.

        The sky has no depth, so none is taught there: what a network says of it means nothing.
        """
        shown = dict(values)
        classes = next((v for t, v in values.items() if TASKS[t].kind == "classes"), None)
        if classes is not None and _SKY in self.label_set.names:
            is_sky = classes == self.label_set.names.index(_SKY)
            for task, value in values.items():
                if TASKS[task].kind == "depth":
                    shown[task] = np.where(is_sky, INVALID_DEPTH, value)
        return shown

    def errors(self, task: str, values: Array, labels: Array, image: Picture) -> Picture:
        """Where, and how far, values miss the labels; arguments as in `values`."""
        match TASKS[task].kind:
            case "classes":
                return class_errors(values, labels, image)
            case "depth":
                known = (labels > 0) & (labels <= self.depth_limit)
                error = np.abs(np.minimum(values, self.depth_limit) - labels)
                return _heat(error / np.maximum(labels, 1e-6) / _WORST_DEPTH_ERROR, known)
            case "normals":
                cosine = np.clip((values * labels).sum(axis=0), -1, 1)
                known = np.asarray(labels.any(axis=0))
                return _heat(np.degrees(np.arccos(cosine)) / _WORST_ANGLE_DEG, known)


def class_colours(ids: Array, label_set: LabelSet) -> Picture:
    """The colours of a label set; ignored pixels are black."""
    table = np.zeros((IGNORE_LABEL + 1, 3), np.uint8)
    table[: len(label_set)] = label_set.colours
    return table[ids]


def depth_colours(depth: Array, limit: float) -> Picture:
    """Near is bright, far is dark, on a logarithmic scale; unknown is black."""
    known = depth > 0
    reach = math.log(limit / _NEAR_M)
    nearness = 1 - np.log(np.where(known, depth, limit) / _NEAR_M) / reach
    picture = _colour_map(nearness, cv2.COLORMAP_MAGMA)
    picture[~known] = 0
    return picture


def normal_colours(normals: Array) -> Picture:
    """The usual colours, (n + 1) / 2; unknown is black."""
    picture = np.clip(np.rint((normals + 1) * 127.5), 0, 255).astype(np.uint8)
    picture[:, ~normals.any(axis=0)] = 0
    return np.ascontiguousarray(picture.transpose(1, 2, 0))


def class_errors(ids: Array, labels: Array, image: Picture) -> Picture:
    """The faded image with wrong pixels in red; pixels without truth are grey."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    faded = np.repeat((60 + 0.35 * grey)[..., None], 3, axis=-1)
    known = labels != IGNORE_LABEL
    faded[known & (ids != labels)] = _WRONG
    faded[~known] = _UNKNOWN
    return faded.astype(np.uint8)


def overlay(image: Picture, colours: Picture, strength: float = 0.55) -> Picture:
    """Lay colours over an image."""
    return cv2.addWeighted(image, 1 - strength, colours, strength, 0).astype(np.uint8)


def mark(image: Picture, points: Sequence[tuple[int, int]]) -> Picture:
    """Draw a small ring around every point (row, column), in the order of `MARKS`."""
    marked = image.copy()
    radius = max(2, round(image.shape[0] / 32))
    for (row, column), colour in zip(points, _cycle(len(points)), strict=True):
        cv2.circle(marked, (column, row), radius + 1, (0, 0, 0), 1, cv2.LINE_AA)
        cv2.circle(marked, (column, row), radius, colour, 1, cv2.LINE_AA)
        marked[row, column] = colour
    return marked


def attended(image: Picture, weights: Array) -> Picture:
    """Draw where marked pixels look.

    Args:
        image: The keyframe.
        weights: Attention of every marked pixel over the keyframe's features, (P, h, w).
    """
    height, width = image.shape[:2]
    shown = image.astype(np.float32) * 0.45
    for attention, colour in zip(weights, _cycle(len(weights)), strict=True):
        # Square root: a window of 81 weights that sum to 1 has many small ones worth seeing.
        share = np.sqrt(attention / max(float(attention.max()), 1e-12)).astype(np.float32)
        share = cv2.resize(share, (width, height), interpolation=cv2.INTER_NEAREST)[..., None]
        shown = shown * (1 - 0.85 * share) + np.array(colour, np.float32) * 0.85 * share
    return shown.astype(np.uint8)


def sheet(panels: Sequence[Panel], *, scale: int = 2, gap: int = 6) -> Picture:
    """All panels as one picture, a row each, titles left out."""
    rows = []
    for panel in panels:
        tiles = [_enlarged(tile, scale) for tile in panel.tiles]
        framed = [np.pad(tile, ((0, gap), (0, gap), (0, 0))) for tile in tiles]
        rows.append(np.concatenate(framed, axis=1))
    width = max(row.shape[1] for row in rows)
    rows = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
    return np.concatenate(rows).astype(np.uint8)


def write_panels(folder: Path, panels: Sequence[Panel]) -> None:
    """Write every tile as a PNG and `index.json`; what was in the folder is replaced."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    index = []
    for row, panel in enumerate(panels):
        tiles = []
        for column, tile in enumerate(panel.tiles):
            name = f"{row}-{column}.png"
            write_png(partial / name, tile.picture)
            tiles.append({"title": tile.title, "file": name, "kind": tile.kind})
        index.append({"title": panel.title, "tiles": tiles})
    (partial / INDEX_NAME).write_text(json.dumps(index, indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def write_png(path: Path, picture: Picture) -> None:
    """Write a picture; the same picture gives the same bytes."""
    _, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    path.write_bytes(data.tobytes())


def _enlarged(tile: Tile, scale: int) -> Picture:
    size = (tile.picture.shape[1] * scale, tile.picture.shape[0] * scale)
    how = cv2.INTER_CUBIC if tile.kind == "photo" else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(tile.picture, size, interpolation=how), np.uint8)


def _heat(share: Array, known: Array) -> Picture:
    """Dark at 0, bright at 1 and beyond; grey where nothing is known."""
    picture = _colour_map(share, cv2.COLORMAP_INFERNO)
    picture[~known] = _UNKNOWN
    return picture


def _colour_map(share: Array, kind: int) -> Picture:
    levels = np.clip(np.nan_to_num(share) * 255, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(levels, kind)[..., ::-1])


def _cycle(count: int) -> list[tuple[int, int, int]]:
    return [MARKS[i % len(MARKS)] for i in range(count)]
