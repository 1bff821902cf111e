"""Shared by the tests of mila/: tiny models and batches of random clips, made on demand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from mila.clip import Clip
from mila.config import EncoderSettings, ModelSettings, PropagationSettings
from mila.model import Mila, build_model


@pytest.fixture
def make_model() -> Callable[..., Mila]:
    """Makes a tiny model in evaluation mode; the words are settings of the propagation."""

    def make(*, seed: int = 0, **propagation) -> Mila:
        torch.manual_seed(seed)
        small = EncoderSettings(widths=(16, 16, 16, 16), depths=(0, 1, 1, 1))
        settings = ModelSettings(
            channels=16,
            head_channels=8,
            feature_stride=8,
            slow=small,
            fast=small,
            propagation=PropagationSettings(radius=2, key_channels=4, **propagation),
        )
        model = build_model(settings)
        with torch.no_grad():  # A fusion that starts at zero would hide what depends on the past.
            for fusion in model.fusions:
                fusion.last.weight.normal_(std=0.3)
        return model.eval()

    return make


@pytest.fixture
def make_batch() -> Callable[..., Clip]:
    """Makes a batch of random clips of 32 x 48 pixels, every frame labelled."""

    def make(clips: int, frames: int, *, seed: int = 0, flow: bool = False) -> Clip:
        generator = torch.Generator().manual_seed(seed)
        shape, size = (clips, frames, 32, 48), (clips, frames, 3, 32, 48)
        return Clip(
            images=torch.randint(0, 256, size, generator=generator, dtype=torch.uint8),
            labels={
                "semseg": torch.randint(0, 19, shape, generator=generator),
                "depth": torch.rand(shape, generator=generator) * 60 + 1,
            },
            frames=torch.arange(frames).expand(clips, -1),
            keys=tuple(f"clip-{seed}-{i}" for i in range(clips)),
            flow=torch.randn(clips, frames, 2, 32, 48, generator=generator) if flow else None,
        )

    return make
