"""Settings of the networks: encoders, what lies between frames, fusion and heads."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mila.settings import Settings


class EncoderSettings(Settings):
    """One encoder, image to features."""

    kind: Literal["pyramid", "resnet18", "resnet34", "resnet50", "resnet101"] = "pyramid"
    """`pyramid` = small residual net with a top-down path; resnetN = public ResNet with a neck."""
    widths: tuple[int, ...] = (32, 64, 128, 192)
    """Pyramid only: channels at strides 2, 4, 8, 16."""
    depths: tuple[int, ...] = (1, 2, 3, 4)
    """Pyramid only: residual blocks at strides 2, 4, 8, 16; 0 = a strided convolution alone."""
    smooth: bool = True
    """Pyramid only: a 3x3 convolution after the top-down path instead of a 1x1."""
    neck: Literal["conv", "aspp"] = "conv"
    """ResNets only: 1x1 convolution, or atrous pyramid pooling."""
    cut: bool = False
    """ResNets only: leave out the last stage."""
    stride: Literal[8, 16] | None = None
    """ResNets only: stride of the trunk, enlarged to the feature stride; none = the same."""
    weights: str | None = None
    """ResNets only: file with public ImageNet weights."""


class PropagationSettings(Settings):
    """How keyframe features reach the other frames. What an option names alone, others ignore."""

    kind: Literal[
        "ila", "copy", "concat", "global", "flow_warp", "exact_flow", "score_fusion", "lvs"
    ] = "ila"
    """Inter-frame local attention or one of its peers."""
    radius: int = Field(default=2, ge=0, le=32)
    """Reach of the attention window, in feature pixels; 0 looks at the same position only."""
    key_channels: int = Field(default=12, ge=4)
    """Channels of query and key."""
    compare: Literal["low", "high"] = "low"
    """ILA: what query and key are made of: low-level features of the fast encoder, which keyframes
    then need too, or what the slow and the fast encoder give in the end."""
    task_specific: bool = False
    """TS: every task attends its own features."""
    multi_frame: bool = True
    """MF: the frame before joins the keyframe under one softmax."""
    before: Literal["fast", "fused"] = "fused"
    """MF: what of the frame before is carried on: its fast features, or what was fused for it."""
    projection: Literal["shared", "separate", "none"] = "shared"
    """Whether query and key share their projection."""
    value: Literal["identity", "conv"] = "identity"
    """Whether values pass a 1x1 convolution."""
    scaling: Literal["sqrt", "one", "cosine"] = "sqrt"
    """Scale of the scores: 1/sqrt(d), 1, or cosine with a learned temperature."""
    prior: Literal["none", "near", "motion"] = "motion"
    """ILA: where a position is expected: anywhere; near; or where the frame's features say."""
    reference_bias: bool = False
    """MF: a learned score offset for each kind of reference."""
    flow_width: int = Field(default=16, ge=8)
    """Peers that estimate flow: channels of the flow network's first layer."""

    @property
    def attends_frame_before(self) -> bool:
        """Whether clips of the joint stage need the frame before."""
        return self.kind == "ila" and self.multi_frame

    @property
    def needs_flow(self) -> bool:
        """Whether clips need exact motion."""
        return self.kind == "exact_flow"

    @property
    def carries_fused(self) -> bool:
        """Whether what was fused for a frame serves the next one."""
        return self.attends_frame_before and self.before == "fused"


class FusionSettings(Settings):
    """How propagated and current features are joined on non-keyframes."""

    kind: Literal["residual", "concat", "propagated"] = "residual"
    """Z + phi([Z; X]); phi([Z; X]) alone; or Z alone."""
    low: bool = True
    """Feed phi the fast encoder's low-level features too."""
    hints: bool = True
    """Feed phi the offset and what the propagation tells about itself (displacement, spread)."""
    kernel: Literal[1, 3] = 1
    """Kernel of phi's first convolution."""
    width: int = Field(default=64, ge=16)
    """Hidden channels of phi."""


class ModelSettings(Settings):
    """The networks."""

    tasks: tuple[Literal["semseg", "depth", "normals"], ...] = ("semseg", "depth")
    """Tasks predicted."""
    label_set: Literal["cityscapes", "camvid", "nyud40", "nyud13"] = "cityscapes"
    """Classes of the semantic task."""
    channels: int = Field(default=64, ge=16)
    """Feature channels C of both encoders."""
    feature_stride: Literal[4, 8, 16] = 4
    """Image pixels per feature pixel."""
    head_channels: int = Field(default=48, ge=8)
    """Hidden channels of a head."""
    head_kernel: Literal[1, 3] = 1
    """Kernel of a head's first convolution."""
    depth_scale: float = Field(default=10.0, gt=0)
    """Heads of outdoor depth predict depth_scale / depth; metres."""
    depth_range: tuple[float, float] = (0.5, 200.0)
    """Smallest and largest depth ever predicted, metres."""
    slow: EncoderSettings = EncoderSettings()
    """Keyframe encoder."""
    fast: EncoderSettings = EncoderSettings(
        widths=(16, 32, 64, 96), depths=(0, 1, 1, 1), smooth=False
    )
    """Encoder of all other frames."""
    propagation: PropagationSettings = PropagationSettings()
    """Between the frames."""
    fusion: FusionSettings = FusionSettings()
    """On non-keyframes."""
