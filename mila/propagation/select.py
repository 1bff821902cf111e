"""Some samples of what a propagation knows: of a frame's features, of its memory of a keyframe.

B samples, N chosen ones, any of them more than once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from torch import Tensor

from mila.propagation.interface import FrameFeatures, PropagationMemory, Reference


def take(maps: Tensor, samples: Tensor) -> Tensor:
    """Maps (B, C, h, w) of the samples (N,), (N, C, h, w); channels last in memory stay there."""
    return maps.permute(0, 2, 3, 1).index_select(0, samples).permute(0, 3, 1, 2)


def take_all(maps: Iterable[Tensor], samples: Tensor) -> tuple[Tensor, ...]:
    """Each map's samples; a tensor that stands for several tasks still does afterwards."""
    taken: dict[int, Tensor] = {}
    chosen = []
    for m in maps:
        if id(m) not in taken:
            taken[id(m)] = take(m, samples)
        chosen.append(taken[id(m)])
    return tuple(chosen)


def features_of(frame: FrameFeatures, samples: Tensor) -> FrameFeatures:
    """A frame's features of some samples."""
    return replace(
        frame,
        image=take(frame.image, samples),
        maps=take_all(frame.maps, samples),
        low=None if frame.low is None else take(frame.low, samples),
        scores=None if frame.scores is None else take_all(frame.scores, samples),
        flow=None if frame.flow is None else take(frame.flow, samples),
        offset=None if frame.offset is None else frame.offset[samples],
    )


def memory_of(memory: PropagationMemory, samples: Tensor) -> PropagationMemory:
    """What is remembered of some samples."""
    return replace(
        memory,
        key=features_of(memory.key, samples),
        references=tuple(_reference_of(r, samples) for r in memory.references),
        flow=None if memory.flow is None else take(memory.flow, samples),
    )


def _reference_of(reference: Reference, samples: Tensor) -> Reference:
    present = reference.present
    return Reference(
        keys=take_all(reference.keys, samples),
        values=take_all(reference.values, samples),
        present=None if present is None else present[samples],
    )
