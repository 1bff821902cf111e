"""Score a model on clips at every offset from the keyframe.

B clips, T frames of a clip. Every frame that is scored is scored at every offset: its keyframe is
placed 0, 1, .. frames before it, the frames between run causally. So offsets differ in nothing but
the age of the keyframe. Slow features of a keyframe are computed once and serve all its offsets.
Source: docs/method.md, section 8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from mila.clip import Clip, Predictions
from mila.metrics import Metrics, build_metrics, decided
from mila.model import Memory, Mila
from mila.scoring import Part, by_reach
from mila.temporal import Consistency

PER_FRAME = ("slow", "fast")
"""Methods that see every frame alone: the same at every offset."""
BY_OFFSET = ("copy", "mila")
"""Methods that use a keyframe; at offset 0 both are the slow network."""
METHODS = (*PER_FRAME, *BY_OFFSET)
"""What is compared: slow network on every frame, fast network on every frame, keyframe features
copied unchanged and read by the slow heads, and MILA."""

STREAMS = ("truth", "slow", "mila", "mila_refresh")
"""What temporal consistency is measured of; the last one, pairs that end on a new keyframe."""


@dataclass(frozen=True)
class Protocol:
    """What is scored, and how.

    Attributes:
        tasks: Tasks of the model.
        label_set: Classes of the semantic task.
        depth_limit: Truth beyond it is left out, predictions are clamped to it; metres.
        intervals: Keyframe intervals measured.
        interval: The interval of the headline, at which temporal consistency is measured too.
    """

    tasks: Sequence[str]
    label_set: str
    depth_limit: float
    intervals: Sequence[int]
    interval: int

    def __post_init__(self) -> None:
        """Refuse a headline that is not measured."""
        if self.interval not in self.intervals:
            raise ValueError(
                f"evaluation.keyframe_interval={self.interval} must be one of "
                f"evaluation.intervals={list(self.intervals)}"
            )

    def metrics(self) -> Metrics:
        """Fresh metrics of all tasks."""
        return build_metrics(self.tasks, self.label_set, self.depth_limit)

    def consistency(self) -> Consistency:
        """Fresh temporal consistency of all tasks."""
        return Consistency(self.tasks, self.label_set, self.depth_limit)


class Evaluation:
    """Counts of every method; evaluations of parts of the data merge into one of the whole.

    Clips differ in how many offsets they allow, their reach. Counts are kept apart by reach, so
    that all offsets of an interval are scored on the same frames.
    """

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.counts: dict[tuple[str, int, int], Metrics] = {}
        self.streams = {name: protocol.consistency() for name in STREAMS}
        self.clips: dict[int, int] = {}
        self.frames: dict[int, int] = {}

    def cell(self, method: str, reach: int, offset: int) -> Metrics:
        """The metrics of a method on clips of one reach, at one offset."""
        if method in PER_FRAME or offset == 0:
            method, offset = ("fast" if method == "fast" else "slow"), 0
        return self.counts.setdefault((method, reach, offset), self.protocol.metrics())

    def merge(self, other: Evaluation) -> None:
        """Add the counts of other clips."""
        for (method, reach, offset), metrics in other.counts.items():
            self.cell(method, reach, offset).merge(metrics)
        for name, consistency in other.streams.items():
            self.streams[name].merge(consistency)
        for mine, theirs in ((self.clips, other.clips), (self.frames, other.frames)):
            for reach, count in theirs.items():
                mine[reach] = mine.get(reach, 0) + count

    def at(self, method: str, interval: int) -> list[Metrics]:
        """Metrics of a method at offsets 0..interval-1, all on the same frames.

        Raises:
            ValueError: If no clip is long enough for this interval.
        """
        reaches = [reach for reach, clips in self.clips.items() if reach >= interval and clips]
        if not reaches:
            longest = max(self.clips, default=0)
            raise ValueError(
                f"keyframe interval {interval} needs a labelled frame with {interval - 1} frames "
                f"before it, the most any clip has is {max(longest - 1, 0)}"
            )
        merged = []
        for offset in range(interval):
            total = self.protocol.metrics()
            for reach in reaches:
                total.merge(self.cell(method, reach, offset))
            merged.append(total)
        return merged

    def scored_frames(self, interval: int) -> int:
        """Frames scored at every offset of an interval."""
        return sum(count for reach, count in self.frames.items() if reach >= interval)


def evaluate(
    model: Mila,
    batches: Iterable[Clip],
    protocol: Protocol,
    *,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Score a model on whole clips.

    Args:
        model: In evaluation mode.
        batches: Clips with all their frames, on the model's device; with flow where temporal
            consistency is wanted.
        protocol: What is scored.
        progress: Called with the number of clips done.

    Raises:
        ValueError: If no frame has a label.
    """
    evaluation = Evaluation(protocol)
    done = 0
    for batch in batches:
        with torch.no_grad():
            for part in by_reach(batch, max(protocol.intervals)):
                _score(model, part, evaluation)
        done += len(batch.keys)
        if progress is not None:
            progress(done)
    if not any(evaluation.frames.values()):
        raise ValueError(f"nothing to score: none of {done} clips has a labelled frame")
    return evaluation


def _score(model: Mila, part: Part, evaluation: Evaluation) -> None:
    """Count everything about some clips; slow features are computed once per frame."""
    frames, scored = part.clip.images.shape[1], part.scored()
    needed = {key for now in scored for key in range(now - part.reach + 1, now + 1)}
    keys = range(frames) if part.clip.flow is not None else sorted(needed)
    keyframes = {key: _keyframe(model, part.clip, key) for key in keys}
    for key in sorted(needed):
        _score_offsets(model, part, keyframes[key], evaluation)
    for now in scored:
        fast = model.fast_predictions(part.clip.images[:, now])
        evaluation.cell("fast", part.reach, 0).add(fast, part.clip.labels_at(now))
    if part.clip.flow is not None:
        _score_streams(model, part.clip, keyframes, evaluation)
    counted = int(part.labelled[:, scored].sum())
    evaluation.frames[part.reach] = evaluation.frames.get(part.reach, 0) + counted
    evaluation.clips[part.reach] = evaluation.clips.get(part.reach, 0) + len(part.clip.keys)


@dataclass(frozen=True)
class _Keyframe:
    """A frame seen by the slow network: where walks begin."""

    index: int
    predictions: Predictions
    memory: Memory


def _keyframe(model: Mila, clip: Clip, index: int) -> _Keyframe:
    predictions, memory = model.step(clip.images[:, index], None, True)
    return _Keyframe(index, decided(predictions), memory)


def _walk(model: Mila, clip: Clip, key: _Keyframe, last: int) -> Iterator[Predictions]:
    """Decided predictions of the frames after a keyframe, up to frame `last`."""
    memory = key.memory
    for now in range(key.index + 1, last + 1):
        flow = clip.flow[:, now] if clip.flow is not None else None
        predictions, memory = model.step(clip.images[:, now], memory, False, flow=flow)
        yield decided(predictions)


def _score_offsets(model: Mila, part: Part, key: _Keyframe, evaluation: Evaluation) -> None:
    """Walk on from a keyframe and count the scored frames that the walk passes."""
    ends = [now for now in part.scored() if key.index <= now < key.index + part.reach]
    if key.index in ends:
        labels = part.clip.labels_at(key.index)
        evaluation.cell("slow", part.reach, 0).add(key.predictions, labels)
    for offset, predictions in enumerate(_walk(model, part.clip, key, max(ends)), start=1):
        if key.index + offset in ends:
            labels = part.clip.labels_at(key.index + offset)
            evaluation.cell("mila", part.reach, offset).add(predictions, labels)
            evaluation.cell("copy", part.reach, offset).add(key.predictions, labels)


def _score_streams(
    model: Mila, clip: Clip, keyframes: Mapping[int, _Keyframe], evaluation: Evaluation
) -> None:
    """Count how neighbouring frames agree: of the truth, of slow, of MILA's stream."""
    assert clip.flow is not None
    frames, interval = clip.images.shape[1], evaluation.protocol.interval
    truth = [clip.labels_at(t) for t in range(frames)]
    slow = [keyframes[t].predictions for t in range(frames)]
    mila: list[Predictions] = []
    for key in range(0, frames, interval):
        last = min(key + interval, frames) - 1
        mila += [slow[key], *_walk(model, clip, keyframes[key], last)]
    for t in range(1, frames):
        pairs = {"truth": truth, "slow": slow, "mila": mila}
        if t % interval == 0:
            pairs["mila_refresh"] = mila
        for name, stream in pairs.items():
            evaluation.streams[name].add(stream[t - 1], stream[t], clip.flow[:, t])
