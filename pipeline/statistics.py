"""What a data set holds, as sums over pixels: colours, classes, depth, and how much is labelled.

T frames, H rows, W columns. Sums add up over clips; averages are taken at the end.
"""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from mila.data.sample import ClipArrays
from mila.tasks import IGNORE_LABEL, LABEL_SETS

_IDS = 256


@dataclass
class Statistics:
    """Sums over the pixels of some clips."""

    clips: int = 0
    frames: int = 0
    pixels: int = 0
    """Of all frames."""
    colour_sum: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(3, np.int64))
    colour_squares: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(3, np.int64))
    ids: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(_IDS, np.int64))
    """Pixels of every class id, ignored ones too, in frames that have a semantic label, (256,)."""
    depth_pixels: int = 0
    """Pixels of frames that have depth."""
    depth_valid: int = 0
    depth_sum: float = 0.0
    """Metres."""
    depth_min: float = float("inf")
    depth_max: float = 0.0
    normals_frames: int = 0
    flow_frames: int = 0
    label_set: str = ""

    def add(self, other: "Statistics") -> None:
        """Add the sums of other clips."""
        for name in (f.name for f in fields(self)):
            mine, theirs = getattr(self, name), getattr(other, name)
            if name == "depth_min":
                self.depth_min = min(mine, theirs)
            elif name == "depth_max":
                self.depth_max = max(mine, theirs)
            elif name == "label_set":
                self.label_set = mine or theirs
            else:
                setattr(self, name, mine + theirs)

    def summary(self) -> dict[str, Any]:
        """Averages and shares, ready for JSON."""
        names = LABEL_SETS[self.label_set].names if self.label_set else ()
        mean = self.colour_sum / max(self.pixels, 1)
        variance = self.colour_squares / max(self.pixels, 1) - mean**2
        return {
            "clips": self.clips,
            "frames": self.frames,
            "channel_mean": [round(float(v), 6) for v in mean / 255],
            "channel_std": [round(float(v), 6) for v in np.sqrt(variance) / 255],
            "label_set": self.label_set,
            "pixels_per_class": {n: int(c) for n, c in zip(names, self.ids, strict=False)},
            "classes_seen": sum(int(c) > 0 for c in self.ids[: len(names)]),
            "semseg_ignored_share": _share(int(self.ids[IGNORE_LABEL]), int(self.ids.sum())),
            "depth_invalid_share": _share(self.depth_pixels - self.depth_valid, self.depth_pixels),
            "depth_metres": self._depth_summary(),
            "normals_frames": self.normals_frames,
            "flow_frames": self.flow_frames,
        }

    def _depth_summary(self) -> dict[str, float] | None:
        if not self.depth_valid:
            return None
        return {
            "min": round(self.depth_min, 6),
            "max": round(self.depth_max, 6),
            "mean": round(self.depth_sum / self.depth_valid, 6),
        }


def measure(clip: ClipArrays) -> Statistics:
    """The sums of one clip; its frames without a label do not count in that label's sums."""
    values = np.arange(_IDS)
    colours = np.stack([np.bincount(clip.images[..., c].ravel(), minlength=_IDS) for c in range(3)])
    labelled = clip.semseg[(clip.semseg != IGNORE_LABEL).any(axis=(1, 2))]
    measured = clip.depth[(clip.depth > 0).any(axis=(1, 2))]
    valid = measured[measured > 0].astype(np.float64)
    return Statistics(
        clips=1,
        frames=len(clip.images),
        pixels=clip.semseg.size,
        colour_sum=colours @ values,
        colour_squares=colours @ values**2,
        ids=np.bincount(labelled.ravel(), minlength=_IDS),
        depth_pixels=measured.size,
        depth_valid=valid.size,
        depth_sum=float(valid.sum()),
        depth_min=float(valid.min(initial=np.inf)),
        depth_max=float(valid.max(initial=0.0)),
        normals_frames=0 if clip.normals is None else _frames_with(clip.normals),
        flow_frames=0 if clip.flow is None else _frames_with(~np.isnan(clip.flow)),
        label_set=clip.label_set,
    )


def _frames_with(array: npt.NDArray[Any]) -> int:
    return int(array.any(axis=(1, 2, 3)).sum())


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
