"""ResNet-18, -34, -50 and -101 as trunks: an image to low-level and high-level features.

B images, H W image rows and columns. Source: He et al., 2016, in the form of the public torchvision
checkpoints (bottlenecks stride in their 3x3 convolution): state-dict keys and results are theirs,
`fc` left out. Strides of 8 and 16 come from dilation. Departures: basic blocks can be dilated too,
and the trunk can end after `layer3` (the paper's res4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

Depth = Literal[18, 34, 50, 101]

LEAST_CHANNELS = 16
"""Fewest channels before a strided 1x1 convolution: with fewer, torch 2.13 on CPUs with AVX-512
crashes in the backward pass of channels-last tensors."""


@dataclass(frozen=True)
class TrunkFeatures:
    """What a trunk gives.

    Attributes:
        low: After `layer1`, (B, low_channels, H/4, W/4).
        high: After the last stage, (B, high_channels, H/stride, W/stride).
    """

    low: Tensor
    high: Tensor


@dataclass(frozen=True)
class _Step:
    """How a block moves: stride of its first strided convolution, dilation of its 3x3 ones."""

    stride: int
    dilation: int


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, step: _Step, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = _conv3x3(inputs, width, step)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, _Step(1, step.dilation))
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, width, h / stride, w / stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn2(self.conv2(out)) + shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut."""

    expansion = 4

    def __init__(self, inputs: int, width: int, step: _Step, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, step)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, 4 * width, h / stride, w / stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn3(self.conv3(out)) + shortcut)


_BLOCKS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
}


class ResNet(nn.Module):
    """A public ResNet without its classifier.

    Attributes:
        low_channels: Channels of `TrunkFeatures.low`.
        high_channels: Channels of `TrunkFeatures.high`.
        left_out: Beginnings of keys that a public checkpoint has and this network does not.
    """

    def __init__(
        self, depth: Depth, *, stride: int = 32, cut: bool = False, width: int = 64
    ) -> None:
        """Build with random weights.

        Args:
            depth: Which network.
            stride: Image pixels per feature pixel: 8, 16 or 32.
            cut: End after `layer3`; strides 8 and 16 only.
            width: Channels of the first stage; the public checkpoints have 64.

        Raises:
            ValueError: If the stride cannot be had, or a strided 1x1 convolution would see fewer
                than 16 channels.
        """
        super().__init__()
        allowed = (8, 16) if cut else (8, 16, 32)
        if stride not in allowed:
            raise ValueError(f"stride of a ResNet (cut={cut}) must be in {allowed}, got {stride}")
        block, blocks = _BLOCKS[depth]
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.stages = ("layer1", "layer2", "layer3", "layer4")[: 3 if cut else 4]
        self.low_channels = self.high_channels = width * block.expansion
        channels = width
        for index, (name, steps) in enumerate(
            zip(self.stages, _steps(blocks, stride), strict=False)
        ):
            self.add_module(name, _stage(block, channels, width << index, steps, name))
            channels = self.high_channels = (width << index) * block.expansion
        self.left_out = ("fc.", "layer4.") if cut else ("fc.",)
        _initialise(self)

    def forward(self, image: Tensor) -> TrunkFeatures:
        """Normalised image (B, 3, H, W) -> features."""
        low = x = self.low(image)
        for name in self.stages[1:]:
            x = self.get_submodule(name)(x)
        return TrunkFeatures(low=low, high=x)

    def low(self, image: Tensor) -> Tensor:
        """The low-level features alone, (B, low_channels, H/4, W/4)."""
        x = F.relu(self.bn1(self.conv1(image)))
        low: Tensor = self.get_submodule("layer1")(F.max_pool2d(x, 3, 2, 1))
        return low


def _steps(blocks: tuple[int, ...], stride: int) -> list[list[_Step]]:
    """Steps of each stage's blocks, so that the trunk goes no further than `stride`.

    A stage that may not stride dilates instead; its first block still has the dilation before it.
    """
    reached, dilation, steps = 4, 1, [[_Step(1, 1)] * blocks[0]]
    for count in blocks[1:]:
        strides = reached < stride
        after = dilation if strides else 2 * dilation
        steps.append([_Step(2 if strides else 1, dilation)] + [_Step(1, after)] * (count - 1))
        reached, dilation = reached * (2 if strides else 1), after
    return steps


def _stage(
    block: type[BasicBlock] | type[Bottleneck],
    inputs: int,
    width: int,
    steps: list[_Step],
    name: str,
) -> nn.Sequential:
    """Blocks of one stage; the first has a convolution in its shortcut where sizes change."""
    outputs, stride = width * block.expansion, steps[0].stride
    shortcut: nn.Module | None = None
    if stride > 1 and inputs < LEAST_CHANNELS:
        raise ValueError(
            f"{name}.0.downsample.0 strides over {inputs} channels; torch needs {LEAST_CHANNELS}"
        )
    if stride > 1 or inputs != outputs:
        shortcut = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
        )
    first = block(inputs, width, steps[0], shortcut)
    return nn.Sequential(first, *(block(outputs, width, step, None) for step in steps[1:]))


def _initialise(network: nn.Module) -> None:
    """Draw convolutions as the public networks were before training."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _conv3x3(inputs: int, outputs: int, step: _Step) -> nn.Conv2d:
    return nn.Conv2d(
        inputs, outputs, 3, step.stride, step.dilation, dilation=step.dilation, bias=False
    )
