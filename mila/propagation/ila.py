"""Inter-frame local attention (ILA), with task-specific (TS) and multi-frame (MF) attention.

Z_t(p) = sum over u in the window of p of a(p, u) X_k(p + u): queries from the current frame, keys
and values from the keyframe, with MF from the frame before too under one softmax.

B samples, C feature channels, d channels of query and key, h w feature rows and columns.
Source: MILA (arXiv:2002.07362) for attending the keyframe locally, per task and in several frames;
the form of all three is method choice 3.1 to 3.3. Departure: hints (how far and how widely the
attention reaches) are not in the paper.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mila.attention import attention_statistics, count_pairs, inter_frame_local_attention
from mila.attention.pointwise import attention_at
from mila.config import PropagationSettings
from mila.propagation.interface import (
    FeatureSizes,
    FrameFeatures,
    Propagated,
    Propagation,
    PropagationMacs,
    PropagationMemory,
    Reference,
    no_hints,
)
from mila.propagation.motion_prior import CHANNELS, MotionPrior, place_channels, places
from mila.propagation.projection import Projection

# Variance of a place below which the spread stays level, in squared feature pixels: the slope of
# its root stays finite.
_LEAST_VARIANCE = 1e-4


@dataclass(frozen=True)
class _Window:
    """References of one attention, ready for the operation.

    Attributes:
        key: (B, F, d, h, w).
        value: (B, F, C + coordinates, h, w).
        present: (B, F) or None.
    """

    key: Tensor
    value: Tensor
    present: Tensor | None


class InterFrameLocalAttention(Propagation):
    """ILA with its options; the frame before (MF) takes part once `advance` was called.

    Hints, per attention: mean displacement (y, x) and its standard deviation (y, x), all divided
    by max(radius, 1), and with MF the weight that lies on the keyframe.
    """

    def __init__(
        self, settings: PropagationSettings, sizes: FeatureSizes, *, hints: bool = True
    ) -> None:
        super().__init__()
        self.radius = settings.radius
        self.multi_frame = settings.multi_frame
        self.shared = settings.projection != "separate"
        self.prior = settings.prior
        self.tasks = sizes.tasks
        count = sizes.tasks if settings.task_specific else 1
        self.needs_low = settings.compare == "low"
        compared = sizes.low_channels if self.needs_low else sizes.channels
        self.projections = nn.ModuleList(
            Projection(settings, sizes.channels, compared=compared) for _ in range(count)
        )
        self.priors = nn.ModuleList(
            MotionPrior(settings, sizes.channels)
            for _ in range(count if settings.prior != "none" else 0)
        )
        self.bias = nn.Parameter(torch.zeros(2)) if settings.reference_bias else None
        self.coordinates = (4 + settings.multi_frame) if hints else 0
        self.hint_channels = self.coordinates * count
        self.channels = sizes.channels

    def start(self, key: FrameFeatures) -> PropagationMemory:
        """Project the keyframe once."""
        keys = self._keys([p.key(m) for p, m in self._compared(key)], is_keyframe=True)
        return PropagationMemory(key, (Reference(keys, self._values(key, is_keyframe=True)),))

    def advance(
        self,
        memory: PropagationMemory,
        current: FrameFeatures,
        *,
        propagated: Propagated | None = None,
        fused: tuple[Tensor, ...] = (),
        present: Tensor | None = None,
    ) -> PropagationMemory:
        """MF: let the frame join the keyframe; its queries serve as keys where theta is shared."""
        if not self.multi_frame:
            return memory
        if propagated is not None and self.shared:
            compared = list(propagated.queries)
        else:
            compared = [p.key(m) for p, m in self._compared(current)]
        keys = self._keys(compared, is_keyframe=False)
        carried = replace(current, maps=fused or current.maps)
        before = Reference(keys, self._values(carried, is_keyframe=False), present)
        return PropagationMemory(memory.key, (memory.references[0], before))

    def step(
        self, memory: PropagationMemory, current: FrameFeatures, *, diagnose: bool = False
    ) -> Propagated:
        """Attend the keyframe, and with MF the frame before."""
        maps, hints, queries, measured = [], [], [], []
        for index, (projection, features) in enumerate(self._compared(current)):
            query = projection.query(features)
            scaled = self._asked(index, projection.scaled(query), current)
            window = _window(memory.references, index, scaled)
            bias = None if self.bias is None else self.bias[: window.key.shape[1]]
            out = inter_frame_local_attention(
                scaled,
                window.key,
                window.value,
                radius=self.radius,
                present=window.present,
                bias=bias,
            )
            maps.append(out[:, : self.channels].to(current.maps[0].dtype))
            hints.append(self._hints(out[:, self.channels :]))
            queries.append(query)
            if diagnose:
                measured.append(self._measure(scaled, window, bias))
        return Propagated(
            maps=tuple(maps) if len(maps) == self.tasks else tuple(maps) * self.tasks,
            hints=torch.cat(hints, dim=1),
            diagnostics=_mean(measured),
            queries=tuple(queries),
        )

    def weights_at(
        self, memory: PropagationMemory, current: FrameFeatures, points: Sequence[tuple[int, int]]
    ) -> Tensor:
        """Attention of some feature positions over the keyframe, (P, h, w), to look at.

        Of the first sample and the first attention; with MF the weights on the frame before are
        left out, so a position's weights may sum to less than 1.
        """
        projection, features = next(self._compared(current))
        query = self._asked(0, projection.scaled(projection.query(features)), current)
        key = _window(memory.references, 0, query).key
        bias = None if self.bias is None else self.bias[: key.shape[1]]
        return attention_at(query[0], key[0], points, radius=self.radius, bias=bias)[:, 0]

    def macs(self, height: int, width: int) -> PropagationMacs:
        """Count projections and pairs inside the map; with MF a frame at offset 2 or more."""
        projection = next(self.projections.children())
        assert isinstance(projection, Projection)
        project = projection.macs(height, width)
        carry = projection.value_macs(height, width)
        pairs = count_pairs(height, width, self.radius) * (1 + self.multi_frame)
        compared, prior = projection.channels, 0
        for each in self.priors[:1]:
            assert isinstance(each, MotionPrior)
            compared += CHANNELS * (1 + self.multi_frame)
            prior = each.macs(height, width)
        frame = project + prior + pairs * (compared + self.channels + self.coordinates)
        if self.multi_frame:
            frame += carry + (0 if self.shared else project)
        count = len(self.projections)
        return PropagationMacs(keyframe=count * (project + carry), frame=count * frame)

    def _attended(self, frame: FrameFeatures) -> Iterator[tuple[Projection, Tensor]]:
        """Each attention with its map: a task's own, or the first for all."""
        for projection, features in zip(self.projections, frame.maps, strict=False):
            assert isinstance(projection, Projection)
            yield projection, features

    def _compared(self, frame: FrameFeatures) -> Iterator[tuple[Projection, Tensor]]:
        """Each attention with what it compares, at the size of the maps."""
        if not self.needs_low:
            yield from self._attended(frame)
            return
        if frame.low is None:
            raise ValueError("propagation.compare=low needs FrameFeatures.low")
        height, width = frame.maps[0].shape[-2:]
        low = F.adaptive_avg_pool2d(frame.low, (height, width))
        yield from ((projection, low) for projection, _ in self._attended(frame))

    def _asked(self, index: int, query: Tensor, current: FrameFeatures) -> Tensor:
        """The query of an attention, with its prior's side for every kind of reference."""
        if not self.priors:
            return query
        prior = self.priors[index]
        assert isinstance(prior, MotionPrior)
        if current.offset is None:
            raise ValueError(f"propagation.prior={self.prior} needs FrameFeatures.offset")
        sides = [prior.query(current.maps[index], current.offset)]
        if self.multi_frame:
            sides.append(prior.query(current.maps[index], torch.ones_like(current.offset)))
        # The operation divides by the root of all channels: take that back for both parts.
        channels = query.shape[1]
        grown = math.sqrt(channels + CHANNELS * len(sides))
        return torch.cat(
            [query.to(sides[0].dtype) * (grown / math.sqrt(channels)), *(grown * s for s in sides)],
            dim=1,
        )

    def _keys(self, keys: list[Tensor], *, is_keyframe: bool) -> tuple[Tensor, ...]:
        """Keys of each attention, with its prior's side for the kind of reference they are."""
        if not self.priors:
            return tuple(keys)
        side = place_channels(keys[0])
        sides = [side]
        if self.multi_frame:
            other = torch.zeros_like(side)
            sides = [side, other] if is_keyframe else [other, side]
        return tuple(torch.cat([key.to(side.dtype), *sides], dim=1) for key in keys)

    def _values(self, frame: FrameFeatures, *, is_keyframe: bool) -> tuple[Tensor, ...]:
        """Values of each attention; with hints the place of every value is carried with it."""
        values = [p.value(m) for p, m in self._attended(frame)]
        if not self.coordinates:
            return tuple(values)
        carried = _places(values[0])
        if self.multi_frame:
            kind = torch.full_like(carried[:, :1], float(is_keyframe))
            carried = torch.cat([carried, kind], dim=1)
        return tuple(torch.cat([value.to(carried.dtype), carried], dim=1) for value in values)

    def _hints(self, carried: Tensor) -> Tensor:
        """Turn carried places (B, 4 or 5, h, w) into displacement, spread and keyframe's share."""
        if not self.coordinates:
            return no_hints(carried)
        mean, square, share = carried[:, :2], carried[:, 2:4], carried[:, 4:]
        spread = (square - mean.square()).clamp_min(_LEAST_VARIANCE).sqrt()
        displacement = mean - places(carried)
        reach = max(self.radius, 1)
        return torch.cat([displacement / reach, spread / reach, share], dim=1)

    def _measure(self, query: Tensor, window: _Window, bias: Tensor | None) -> dict[str, Tensor]:
        """Entropy (B, h, w) in 0..1 and weight per reference (B, F, h, w)."""
        statistics = attention_statistics(
            query, window.key, radius=self.radius, present=window.present, bias=bias
        )
        return {"entropy": statistics.entropy, "mass": statistics.mass}


def _window(references: tuple[Reference, ...], index: int, query: Tensor) -> _Window:
    """Put the references of one attention side by side."""
    keys = [r.keys[index].to(query.dtype) for r in references]
    present = None
    if any(r.present is not None for r in references):
        everyone = torch.ones(query.shape[0], dtype=torch.bool, device=query.device)
        present = torch.stack(
            [everyone if r.present is None else r.present for r in references], dim=1
        )
    return _Window(_stack(keys), _stack([r.values[index] for r in references]), present)


def _stack(maps: list[Tensor]) -> Tensor:
    """Stack (B, C, h, w) to (B, F, C, h, w), channels last in memory as the operation wants it."""
    return torch.stack([m.permute(0, 2, 3, 1) for m in maps], dim=1).permute(0, 1, 4, 2, 3)


def _places(maps: Tensor) -> Tensor:
    """Row, column and their squares, (B, 4, h, w), float32 at least."""
    place = places(maps)
    return torch.cat([place, place.square()], dim=1)


def _mean(measured: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Mean over attentions, name by name."""
    if not measured:
        return {}
    return {name: torch.stack([m[name] for m in measured]).mean(dim=0) for name in measured[0]}
