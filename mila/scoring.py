"""Which frames of a clip are scored: the same ones at every offset from the keyframe.

B clips, T frames of a clip, H W rows and columns. Source: method 8.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mila.clip import Clip, valid_pixels


def batched(clips: Iterable[Clip], size: int) -> Iterator[Clip]:
    """Join consecutive clips of equal shape, at most `size` at a time: small frames go faster."""
    waiting: list[Clip] = []
    for clip in clips:
        if waiting and (len(waiting) == size or _shape(clip) != _shape(waiting[0])):
            yield _joined(waiting)
            waiting = []
        waiting.append(clip)
    if waiting:
        yield _joined(waiting)


def _shape(clip: Clip) -> torch.Size:
    """Of the images, (T, 3, H, W)."""
    return clip.images.shape[1:]


def _joined(clips: Sequence[Clip]) -> Clip:
    first = clips[0]
    flows = [clip.flow for clip in clips if clip.flow is not None]
    return Clip(
        images=torch.cat([clip.images for clip in clips]),
        labels={task: torch.cat([clip.labels[task] for clip in clips]) for task in first.labels},
        frames=torch.cat([clip.frames for clip in clips]),
        keys=tuple(key for clip in clips for key in clip.keys),
        flow=torch.cat(flows) if len(flows) == len(clips) else None,
    )


@dataclass(frozen=True)
class Part:
    """Clips of one batch that allow the same offsets.

    Attributes:
        clip: The clips.
        labelled: Which frames have a label of any task, bool (B, T).
        reach: Number of offsets, 0..reach-1, at which frames can be scored; 0 = no label at all.
    """

    clip: Clip
    labelled: Tensor
    reach: int

    def scored(self) -> list[int]:
        """Frames that have a label in some clip, and enough frames before them."""
        if not self.reach:
            return []
        return [t for t in self.labelled.any(dim=0).nonzero()[:, 0].tolist() if t >= self.reach - 1]


def by_reach(clip: Clip, longest: int) -> Iterator[Part]:
    """Divide a batch into parts of equal reach.

    Args:
        clip: Whole clips.
        longest: Offsets wanted; a clip whose last labelled frame comes earlier allows fewer.
    """
    batch, frames = clip.images.shape[:2]
    labelled = torch.zeros(batch, frames, dtype=torch.bool)
    for task, label in clip.labels.items():
        valid = valid_pixels(task, label.flatten(0, 1))
        labelled |= valid.flatten(1).any(dim=1).view(batch, frames).cpu()
    last = (labelled * torch.arange(1, frames + 1)).amax(dim=1)
    reaches = last.clamp(max=longest)
    for reach in sorted(set(reaches.tolist())):
        rows = (reaches == reach).nonzero()[:, 0]
        yield Part(_rows(clip, rows), labelled[rows], reach)


def _rows(clip: Clip, rows: Tensor) -> Clip:
    if len(rows) == len(clip.keys):
        return clip
    return Clip(
        images=clip.images[rows],
        labels={task: label[rows] for task, label in clip.labels.items()},
        frames=clip.frames[rows],
        keys=tuple(clip.keys[row] for row in rows.tolist()),
        flow=None if clip.flow is None else clip.flow[rows],
    )
