"""What every way of bringing keyframe features to another frame takes, keeps and gives.

B samples, C feature channels, G hint channels, H W image rows and columns, h w those of features.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class FeatureSizes:
    """Sizes of the features that a propagation works on.

    Attributes:
        channels: C, feature channels.
        feature_stride: Image pixels per feature pixel.
        low_channels: Channels of the fast encoder's low-level features, at stride 4.
        score_channels: Channels of each task's scores, in the order of the tasks.
    """

    channels: int
    feature_stride: int
    low_channels: int
    score_channels: tuple[int, ...]

    @property
    def tasks(self) -> int:
        """Number of tasks."""
        return len(self.score_channels)


@dataclass(frozen=True)
class FrameFeatures:
    """What is known of one frame: slow features on a keyframe, fast ones on any other.

    Attributes:
        image: Normalised image, (B, 3, H, W).
        maps: One feature map per task, (B, C, h, w) each; the same tensor for all of them unless
            attention is task-specific.
        low: Low-level features of the fast encoder, (B, C_low, H/4, W/4); on a keyframe too for
            the kinds whose `needs_low` is true, else None.
        scores: Raw scores of the frame's own heads, one (B, n, h, w) per task; only for the kinds
            whose `needs_scores` is true.
        flow: Backward flow in image pixels, (B, 2, H, W), channel 0 to the right: pixel p was at
            p + flow in the frame that the memory knows last (the keyframe, or the frame last
            given to `advance`); NaN where unknown. Only for the kinds whose `needs_flow` is true.
        offset: Frames since the keyframe, (B,); None on a keyframe.
    """

    image: Tensor
    maps: tuple[Tensor, ...]
    low: Tensor | None = None
    scores: tuple[Tensor, ...] | None = None
    flow: Tensor | None = None
    offset: Tensor | None = None


@dataclass(frozen=True)
class Reference:
    """A frame that others attend: keys and values of each attention.

    Attributes:
        keys: (B, d, h, w) each.
        values: What is carried over, coordinates of hints included, (B, C + 4, h, w) each.
        present: For which samples the frame exists, bool (B,); None = all.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    present: Tensor | None = None


@dataclass(frozen=True)
class PropagationMemory:
    """What a propagation keeps from frame to frame; each kind fills what it needs.

    Attributes:
        key: The newest keyframe.
        references: Frames that attention looks at, the keyframe first.
        flow: Exact flow from the frame last advanced to the keyframe, image pixels (B, 2, H, W).
    """

    key: FrameFeatures
    references: tuple[Reference, ...] = ()
    flow: Tensor | None = None


@dataclass(frozen=True)
class Propagated:
    """What a propagation gives for a frame.

    Attributes:
        maps: Z, one (B, C, h, w) per task; the same tensor for all tasks where it does not differ.
        hints: What the propagation tells about itself, (B, G, h, w), G = `hint_channels`.
        diagnostics: Numbers to log or to schedule keyframes by, on request, without gradient.
        scores: Score fusion only: final raw scores, (B, n, h, w) per task, in place of features.
        queries: Attention only: projected current features, which `advance` may reuse.
    """

    maps: tuple[Tensor, ...]
    hints: Tensor
    diagnostics: dict[str, Tensor] = field(default_factory=dict)
    scores: tuple[Tensor, ...] | None = None
    queries: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class PropagationMacs:
    """Multiply-adds of everything between features and Z, of one sample.

    Attributes:
        keyframe: Paid once per keyframe.
        frame: Paid on every other frame.
    """

    keyframe: int
    frame: int


class Propagation(nn.Module):
    """The interface; the defaults are those of a module that keeps the keyframe as it is.

    Attributes:
        hint_channels: G, channels of `Propagated.hints`.
        needs_low: Whether keyframes must come with low-level features of the fast encoder.
        needs_scores: Whether frames must come with the raw scores of their own heads.
        needs_flow: Whether frames must come with exact flow.
    """

    hint_channels = 0
    needs_low = False
    needs_scores = False
    needs_flow = False

    def start(self, key: FrameFeatures) -> PropagationMemory:
        """Remember a keyframe; what is computed here is paid once per keyframe."""
        return PropagationMemory(key)

    def step(
        self, memory: PropagationMemory, current: FrameFeatures, *, diagnose: bool = False
    ) -> Propagated:
        """Bring the keyframe's features to the current frame.

        Args:
            memory: What `start` or `advance` gave.
            current: The frame.
            diagnose: Whether to fill `Propagated.diagnostics`.
        """
        raise NotImplementedError

    def advance(
        self,
        memory: PropagationMemory,
        current: FrameFeatures,
        *,
        propagated: Propagated | None = None,
        fused: tuple[Tensor, ...] = (),
        present: Tensor | None = None,
    ) -> PropagationMemory:
        """Let the frame become the frame before, for the kinds that look at it.

        Args:
            memory: What `start` or `advance` gave.
            current: The frame, as it was or would have been given to `step`.
            propagated: What `step` gave for it, if it was called: spares a projection.
            fused: Y of the frame, one (B, C, h, w) per attention, to be carried on in place of its
                fast features; empty = the fast features.
            present: In a batch of mixed offsets, the samples whose frame lies behind their
                keyframe, bool (B,); the others look at the keyframe alone. None = all.
        """
        del current, propagated, fused, present
        return memory

    def macs(self, height: int, width: int) -> PropagationMacs:
        """Count the multiply-adds for one sample with feature maps of height x width."""
        raise NotImplementedError


def no_hints(maps: Tensor) -> Tensor:
    """Hints of a kind that has none: (B, 0, h, w)."""
    return torch.empty(maps.shape[0], 0, *maps.shape[-2:], dtype=maps.dtype, device=maps.device)


def conv_macs(conv: nn.Module, height: int, width: int) -> int:
    """Multiply-adds of a convolution whose output is height x width."""
    assert isinstance(conv, nn.Conv2d)
    taps = conv.kernel_size[0] * conv.kernel_size[1]
    return height * width * taps * conv.in_channels * conv.out_channels // conv.groups
