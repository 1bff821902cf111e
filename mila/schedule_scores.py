"""Score keyframe schedules on whole streams: accuracy beside what each of them costs.

Unlike the scores by offset, every labelled frame of every clip counts once, whatever keyframe
answers it: so fixed and adaptive schedules can be compared at equal cost. Source: method 7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mila.clip import Clip
from mila.cost import ModelCosts
from mila.evaluation import Protocol
from mila.keyframes import AdaptiveSchedule, FixedSchedule, Schedule, threshold_for
from mila.model import Mila
from mila.streaming import frame_at, stream

Row = dict[str, float | str]

_NEVER = 1.0
"""Threshold that no uncertainty passes."""
_GIGA = 1e9


@dataclass(frozen=True)
class ScheduleScore:
    """What a schedule gives and takes.

    Attributes:
        figures: Pooled over all labelled frames, `task/metric`.
        frames: Frames answered.
        keyframes: Those answered by the slow path.
        refreshed: Keyframes that the fast path had answered first; they are paid for twice.
        uncertainties: Of the frames that were watched, in order.
    """

    figures: dict[str, float]
    frames: int
    keyframes: int
    refreshed: int
    uncertainties: tuple[float, ...]

    @property
    def mean_interval(self) -> float:
        """Frames per keyframe."""
        return self.frames / self.keyframes

    def macs_per_frame(self, costs: ModelCosts) -> float:
        """Mean multiply-adds of a frame."""
        by_fast_path = self.frames - self.keyframes + self.refreshed
        total = self.keyframes * costs.keyframe + by_fast_path * costs.non_keyframe
        return total / self.frames


def score_schedule(
    model: Mila, clips: Iterable[Clip], schedule: Schedule, protocol: Protocol
) -> ScheduleScore:
    """Stream every clip from its first frame on.

    Args:
        model: In evaluation mode.
        clips: One clip at a time: clips of a batch would share their keyframes.
        schedule: When keyframes are due.
        protocol: What is scored; its intervals are not looked at.
    """
    metrics = protocol.metrics()
    frames = keyframes = refreshed = 0
    uncertainties: list[float] = []
    for clip in clips:
        walk = (frame_at(clip, t) for t in range(clip.images.shape[1]))
        for answer in stream(model, walk, schedule):
            metrics.add(answer.predictions, clip.labels_at(answer.index))
            frames += 1
            keyframes += answer.keyframe
            if answer.uncertainty is not None:
                refreshed += answer.keyframe
                uncertainties.append(answer.uncertainty)
    return ScheduleScore(metrics.compute(), frames, keyframes, refreshed, tuple(uncertainties))


def compare_schedules(
    model: Mila,
    clips: Callable[[], Iterable[Clip]],
    calibration: Callable[[], Iterable[Clip]],
    protocol: Protocol,
    costs: ModelCosts,
    shares: Sequence[float],
) -> list[Row]:
    """A row per fixed interval above 1, and one per share of frames refreshed adaptively.

    Args:
        model: In evaluation mode, with a propagation that tells its uncertainty.
        clips: Gives the clips that are scored, one at a time.
        calibration: Gives other clips, on which the thresholds are chosen.
        protocol: What is scored; its longest interval bounds the adaptive schedule too.
        costs: Of the model.
        shares: Shares of non-keyframes to refresh early, 0..1.

    Raises:
        ValueError: If the model does not tell its uncertainty.
    """
    longest = max(protocol.intervals)
    never = AdaptiveSchedule(threshold=_NEVER, longest=longest)
    watched = score_schedule(model, calibration(), never, protocol).uncertainties
    thresholds = [threshold_for(list(watched), refresh_share=share) for share in shares]
    schedules: list[tuple[Row, Schedule]] = [
        ({"schedule": "fixed", "interval": k}, FixedSchedule(k))
        for k in protocol.intervals
        if k > 1
    ]
    schedules += [
        ({"schedule": "adaptive", "threshold": t}, AdaptiveSchedule(threshold=t, longest=longest))
        for t in thresholds
    ]
    rows = []
    for row, schedule in schedules:
        score = score_schedule(model, clips(), schedule, protocol)
        cost = {
            "mean_interval": score.mean_interval,
            "gmac_per_frame": score.macs_per_frame(costs) / _GIGA,
        }
        rows.append({**row, **cost, **score.figures})
    return rows
