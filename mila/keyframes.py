"""When a keyframe is due, and which keyframe answers a frame: pure functions of small numbers.

Offset = frames since the keyframe that answers. Under every schedule the first frame, a change of
size, a gap in time and a declared cut start anew with a keyframe. Source: fixed intervals as in
MILA (arXiv:2002.07362); adaptive and low-latency schedules are this project's choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    """Decides whether a frame becomes a keyframe."""

    @property
    def watches(self) -> bool:
        """Whether `lost` looks at the uncertainty at all."""

    def due(self, offset: int) -> bool:
        """Whether the frame is a keyframe before anything is known about it.

        Args:
            offset: Frames since the last keyframe, 1 or more.
        """

    def lost(self, offset: int, uncertainty: float) -> bool:
        """Whether the frame, already answered by propagation, has to be answered by the slow path.

        Args:
            offset: Frames since the last keyframe, 1 or more.
            uncertainty: How lost the propagation is, 0..1.
        """


@dataclass(frozen=True)
class FixedSchedule:
    """A keyframe every `interval` frames; 1 = all."""

    interval: int

    def __post_init__(self) -> None:
        """Refuse what cannot be a schedule."""
        if self.interval < 1:
            raise ValueError(f"keyframe interval must be 1 or more, got {self.interval}")

    @property
    def watches(self) -> bool:
        """No: a fixed schedule does not look."""
        return False

    def due(self, offset: int) -> bool:
        """Whether the interval is over."""
        return offset >= self.interval

    def lost(self, offset: int, uncertainty: float) -> bool:
        """Never."""
        return False


@dataclass(frozen=True)
class AdaptiveSchedule:
    """A keyframe when the propagation is uncertain, or at the latest after `longest` frames.

    A frame found to be lost has been paid for twice: by the fast path and by the slow one.
    """

    threshold: float
    """Uncertainty that is too much, 0..1; 1 or more never refreshes early."""
    longest: int
    """Largest interval between keyframes."""
    shortest: int = 1
    """Smallest interval between keyframes."""

    def __post_init__(self) -> None:
        """Refuse what cannot be a schedule."""
        if not 1 <= self.shortest <= self.longest:
            raise ValueError(
                f"intervals must be 1 <= shortest <= longest, got {self.shortest}, {self.longest}"
            )

    @property
    def watches(self) -> bool:
        """Yes."""
        return True

    def due(self, offset: int) -> bool:
        """Whether the longest interval is over."""
        return offset >= self.longest

    def lost(self, offset: int, uncertainty: float) -> bool:
        """Whether the uncertainty is too large and the last keyframe old enough to be replaced."""
        return offset >= self.shortest and uncertainty > self.threshold


def threshold_for(uncertainties: list[float], *, refresh_share: float) -> float:
    """The threshold that a given share of the frames passes.

    Args:
        uncertainties: Of non-keyframes on training data.
        refresh_share: Share of them that shall be refreshed, 0..1.

    Raises:
        ValueError: If there are no uncertainties.
    """
    if not uncertainties:
        raise ValueError("a threshold needs at least one uncertainty")
    ranked = sorted(uncertainties, reverse=True)
    refreshed = round(refresh_share * len(ranked))
    return ranked[0] if refreshed == 0 else ranked[refreshed] if refreshed < len(ranked) else -1.0


def answering_keyframe(frame: int, *, interval: int, delay: int = 0) -> int:
    """The keyframe whose features answer a frame of a stream with a fixed interval.

    With a delay the slow network works in the background: its features serve from `delay` frames
    after their keyframe on. Frames before the first features are ready are answered by keyframe 0,
    for which the stream waits.

    Args:
        frame: Index in the stream.
        interval: Keyframe interval.
        delay: Frames the slow path takes, 0..interval; 0 = every keyframe is waited for.

    Raises:
        ValueError: If the delay is longer than the interval.
    """
    if not 0 <= delay <= interval:
        raise ValueError(f"delay must be in 0..{interval}, the keyframe interval; got {delay}")
    return max((frame - delay) // interval * interval, 0)


def offsets(interval: int, delay: int = 0) -> range:
    """Offsets that occur in the steady state of a stream with a fixed interval."""
    return range(delay, interval + delay)
