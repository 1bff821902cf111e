"""What every data set is turned into: recordings, that is clips whose frames are still to be read.

H rows, W columns of a frame.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mila.data.sample import Split


@dataclass(frozen=True)
class Frame:
    """One frame and the labels it has."""

    image: npt.NDArray[np.uint8]
    """RGB, (H, W, 3)."""
    semseg: npt.NDArray[np.uint8] | None = None
    """Class ids of the label set, 255 ignored, (H, W)."""
    depth: npt.NDArray[np.float32] | None = None
    """Metres, 0 unknown, (H, W)."""
    normals: npt.NDArray[np.float32] | None = None
    """Unit vectors, zero vectors unknown, (H, W, 3)."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Where each of these is from, by its name above; for messages."""


@dataclass(frozen=True)
class Recording:
    """A clip to be made: consecutive frames of one video."""

    key: str
    """Name of the clip, without dots."""
    video: str
    split: Split
    fps: float
    start: int
    """Index of the first frame in its video."""
    frames: tuple[Callable[[], Frame], ...]
    """Each reads one frame; they travel to other processes."""
    label_set: str = "cityscapes"
    depth_units_per_metre: float = 256.0
    intrinsics: tuple[float, float, float, float] | None = None
    """fx, fy, cx, cy in pixels of the images as they are read."""


@dataclass(frozen=True)
class DataSet:
    """A data set that can be ingested."""

    layout: str
    """Where its files lie, one sentence."""
    words: Mapping[str, str]
    """Its own words on the command line, each with a help text."""
    find: Callable[[Path, Mapping[str, str]], list[Recording]]
    """The recordings under a root, with the words that were given."""


def choice(words: Mapping[str, str], name: str, options: tuple[str, ...]) -> str:
    """The value of a word that has fixed options; the first is the default.

    Raises:
        ValueError: If it is none of them.
    """
    value = words.get(name, options[0])
    if value not in options:
        raise ValueError(f"{name}={value}: expected one of {', '.join(options)}")
    return value


def key_of(*parts: str | int) -> str:
    """A clip key from names that may hold dots, spaces or slashes."""
    joined = "-".join(str(part) for part in parts)
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in joined)


def windows(count: int, length: int) -> list[range]:
    """Cut `count` frames into runs of `length`; the last one reaches back to be as long.

    Fewer frames than `length` stay one shorter run.
    """
    starts = list(range(0, count - length + 1, length)) or [0]
    if starts[-1] + length < count:
        starts.append(count - length)
    return [range(start, min(start + length, count)) for start in starts]
