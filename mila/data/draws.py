"""Which frames of a clip are used: one labelled frame, a keyframe and later frames, or all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class FrameDraw:
    """What is drawn from every clip."""

    kind: Literal["single", "offset", "all"]
    """single: one labelled frame. offset: a keyframe and the frames up to a labelled one after it.
    all: every frame, in order."""
    max_offset: int = 0
    """offset: largest distance of the keyframe from the labelled frame."""
    walk: int = 1
    """offset: frames up to the labelled one, it included, that are drawn after the keyframe."""

    def __post_init__(self) -> None:
        """Refuse settings that contradict the kind."""
        if self.kind == "offset" and self.max_offset < 1:
            raise ValueError(f"frame draw offset: max_offset is {self.max_offset}, expected >= 1")
        if self.kind != "offset" and (self.max_offset or self.walk != 1):
            raise ValueError(f"frame draw {self.kind}: max_offset and walk have no effect")

    @property
    def earliest(self) -> int:
        """First frame of a clip that can be the labelled one."""
        return 1 if self.kind == "offset" else 0

    def ages(self, offset: int) -> tuple[int, ...]:
        """Distances of the drawn frames from the last one: the keyframe, then the walk.

        A walk longer than the offset begins with the keyframe again, once for each frame that lies
        before it.
        """
        return (offset, *(min(age, offset) for age in reversed(range(self.walk))))


def draw_frames(
    draw: FrameDraw, frames: int, labelled: Sequence[int], random: np.random.Generator
) -> list[int]:
    """Choose frames of a clip.

    The offset is uniform over 1..max_offset as far as the clip allows; then the labelled frame is
    uniform among those with so many predecessors.

    Args:
        draw: What to draw.
        frames: Frames of the clip.
        labelled: Frames with a label, ascending; at least one is `draw.earliest` or later.
        random: Where the randomness comes from; not used for `all`.

    Returns:
        Frame indices in time order: 1 for single, 1 + walk for offset, else all.
    """
    if draw.kind == "all":
        return list(range(frames))
    if draw.kind == "single":
        return [labelled[int(random.integers(len(labelled)))]]
    offset = int(random.integers(1, min(draw.max_offset, labelled[-1]) + 1))
    possible = [t for t in labelled if t >= offset]
    last = possible[int(random.integers(len(possible)))]
    return [last - age for age in draw.ages(offset)]
