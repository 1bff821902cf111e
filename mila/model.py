"""Mila: slow network on keyframes, fast network on the other frames, features carried between.

B clips, T frames of a clip, C feature channels, H W image rows and columns, h w feature rows and
columns. Source: MILA (arXiv:2002.07362); fusion and heads are our choice (docs/method.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mila.clip import Predictions
from mila.config import ModelSettings
from mila.encoders import Features, build_encoder, normalise
from mila.fusion import Fusion
from mila.heads import Heads
from mila.per_frame import PerFrame, image_size
from mila.propagation import (
    FeatureSizes,
    FrameFeatures,
    Propagated,
    PropagationMemory,
    build_propagation,
)
from mila.propagation.ila import InterFrameLocalAttention
from mila.tasks import LABEL_SETS, TASKS


@dataclass(frozen=True)
class Memory:
    """What a stream keeps between frames.

    Attributes:
        propagation: What the propagation remembers of the keyframe (and of the frame before).
        key: The keyframe's features, one map per task, (B, C, h, w).
        offset: Frames since the keyframe, (B,).
        diagnostics: What the propagation said about the newest frame.
    """

    propagation: PropagationMemory
    key: tuple[Tensor, ...]
    offset: Tensor
    diagnostics: dict[str, Tensor]


class Mila(nn.Module):
    """The whole model; nothing about a stream is kept on the module."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.settings = settings
        self.tasks = settings.tasks
        self.task_specific = settings.propagation.task_specific
        self.slow = PerFrame(settings, slow=True)
        # The fast network alone: where the fast path starts, and the lower bound of both.
        self.fast_alone = PerFrame(settings, slow=False)
        self.fast = build_encoder(
            settings.fast, channels=settings.channels, feature_stride=settings.feature_stride
        )
        low = self.fast.low_channels
        labels = LABEL_SETS[settings.label_set]
        self.propagation = build_propagation(
            settings.propagation,
            FeatureSizes(
                channels=settings.channels,
                low_channels=low,
                feature_stride=settings.feature_stride,
                score_channels=tuple(TASKS[task].channels(labels) for task in settings.tasks),
            ),
            hints=settings.fusion.hints,
        )
        maps = len(settings.tasks) if self.task_specific else 1
        self.fusions = nn.ModuleList(
            Fusion(
                settings.fusion,
                channels=settings.channels,
                low_channels=low,
                hint_channels=self.propagation.hint_channels,
            )
            for _ in range(maps)
        )
        self.heads = Heads(settings, squeeze=not self.task_specific)

    def step(
        self,
        image: Tensor,
        memory: Memory | None,
        keyframe: bool = False,
        *,
        flow: Tensor | None = None,
        diagnose: bool = False,
    ) -> tuple[Predictions, Memory]:
        """Answer one frame of every stream of the batch.

        Args:
            image: (B, 3, H, W), uint8 RGB.
            memory: Of the frame before; None starts the streams, which makes this a keyframe.
            keyframe: Whether the slow network answers.
            flow: Exact backward flow to the frame before, (B, 2, H, W); for `exact_flow` only.
            diagnose: Whether to fill `Memory.diagnostics` on a non-keyframe.
        """
        if keyframe or memory is None:
            return self._keyframe(image)
        return self._non_keyframe(image, memory, flow=flow, diagnose=diagnose)

    def forward(
        self, images: Tensor, *, keyframe_interval: int
    ) -> Iterator[tuple[Predictions, Memory]]:
        """Answer whole clips (B, T, 3, H, W) frame by frame; frame 0 is a keyframe."""
        memory: Memory | None = None
        for t in range(images.shape[1]):
            predictions, memory = self.step(images[:, t], memory, t % keyframe_interval == 0)
            yield predictions, memory

    def slow_predictions(self, image: Tensor) -> Predictions:
        """The slow network on a frame alone: what a keyframe gives."""
        return dict(self.slow(image))

    def fast_predictions(self, image: Tensor) -> Predictions:
        """The fast network on a frame alone, with heads of its own."""
        return dict(self.fast_alone(image))

    def copied_predictions(self, memory: Memory, size: tuple[int, int]) -> Predictions:
        """The keyframe's features unchanged, read by the slow heads: no attention, no fusion."""
        squeezed = self.task_specific
        pairs = zip(self.slow.heads.rows(), memory.key, strict=True)
        return {t: h.finish(h.scores(m, squeezed=squeezed), size) for (t, h), m in pairs}

    def attention_weights(
        self, image: Tensor, memory: Memory, points: Sequence[tuple[int, int]]
    ) -> Tensor:
        """Where feature positions (row, column) of a frame look on its keyframe, (P, h, w).

        Memory is that of the frame before; without local attention it is a ValueError.
        """
        if not isinstance(self.propagation, InterFrameLocalAttention):
            raise ValueError(f"{self.settings.propagation.kind} has no local attention to draw")
        _, current = self.fast_both(normalise(image), memory.offset + 1)
        return self.propagation.weights_at(memory.propagation, current, points)

    def start(self, image: Tensor, slow: Tensor) -> PropagationMemory:
        """Remember a keyframe: its normalised image and its slow features (B, C, h, w)."""
        maps = self._maps(slow)
        low = self.fast.low(image) if self.propagation.needs_low else None
        scores = None
        if self.propagation.needs_scores:
            pairs = zip(self.slow.heads.rows(), maps, strict=True)
            scores = tuple(head.scores(m, squeezed=self.task_specific) for (_, head), m in pairs)
        return self.propagation.start(FrameFeatures(image, maps, low, scores))

    def fast_both(
        self, image: Tensor, offset: Tensor, flow: Tensor | None = None
    ) -> tuple[Features, FrameFeatures]:
        """The fast encoder on normalised images (B, 3, H, W): for the fusion, for the propagation.

        Offsets (B,) are frames since the keyframe; flow as in `FrameFeatures`.
        """
        features = self.fast(image)
        maps = self._maps(features.high)
        scores = None
        if self.propagation.needs_scores:
            pairs = zip(self.heads.rows(), maps, strict=True)
            scores = tuple(head.scores(m) for (_, head), m in pairs)
        return features, FrameFeatures(image, maps, features.low, scores, flow, offset)

    def fuse(self, propagated: Propagated, current: Features, offset: Tensor) -> tuple[Tensor, ...]:
        """Y, (B, C, h, w), one map per task with TS, else one for all."""
        return tuple(
            fusion(z, current, propagated.hints, offset)
            for fusion, z in zip(self.fusions, propagated.maps, strict=False)
        )

    def advance(
        self,
        memory: PropagationMemory,
        current: FrameFeatures,
        propagated: Propagated,
        fused: tuple[Tensor, ...],
        *,
        present: Tensor | None = None,
    ) -> PropagationMemory:
        """Let an answered frame become the frame before; `present` as in `Propagation.advance`."""
        carried = fused if self.settings.propagation.carries_fused else ()
        return self.propagation.advance(
            memory, current, propagated=propagated, fused=carried, present=present
        )

    def answer(
        self, propagated: Propagated, fused: tuple[Tensor, ...], size: tuple[int, int]
    ) -> Predictions:
        """What the non-keyframe heads say of fused features, at image size (H, W)."""
        heads = self.heads.rows()
        if propagated.scores is not None:
            pairs = zip(heads, propagated.scores, strict=True)
            return {task: head.finish(scores, size) for (task, head), scores in pairs}
        maps = fused if self.task_specific else fused * len(self.tasks)
        return {task: head(y, size) for (task, head), y in zip(heads, maps, strict=True)}

    def start_joint(self) -> None:
        """Begin the joint stage: the fast path is a copy of the fast network, with slow heads."""
        self.fast.load_state_dict(self.fast_alone.encoder.state_dict())
        for task, head in self.heads.rows():
            wanted = head.state_dict().keys()
            source = self.slow.heads.of(task).state_dict()
            head.load_state_dict({k: v for k, v in source.items() if k in wanted})

    def _keyframe(self, image: Tensor) -> tuple[Predictions, Memory]:
        x = normalise(image)
        slow = self.slow.encoder(x).high
        start = self.start(x, slow)
        offset = torch.zeros(image.shape[0], device=image.device, dtype=torch.long)
        memory = Memory(start, self._maps(slow), offset, {})
        return self.slow.read(slow, image_size(image)), memory

    def _non_keyframe(
        self, image: Tensor, memory: Memory, *, flow: Tensor | None, diagnose: bool
    ) -> tuple[Predictions, Memory]:
        offset = memory.offset + 1
        features, current = self.fast_both(normalise(image), offset, flow)
        propagated = self.propagation.step(memory.propagation, current, diagnose=diagnose)
        fused = self.fuse(propagated, features, offset)
        predictions = self.answer(propagated, fused, image_size(image))
        kept = self.advance(memory.propagation, current, propagated, fused)
        return predictions, Memory(kept, memory.key, offset, propagated.diagnostics)

    def _maps(self, features: Tensor) -> tuple[Tensor, ...]:
        """One map per task: E_tau(X) with TS, else the same map for all."""
        if not self.task_specific:
            return (features,) * len(self.tasks)
        return tuple(head.squeeze(features) for _, head in self.slow.heads.rows())


def build_model(settings: ModelSettings) -> Mila:
    """Make the model with fresh weights, in channels-last memory."""
    model = Mila(settings)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model
