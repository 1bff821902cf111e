"""A network that sees every frame alone: the slow one, and the fast one as a lower bound.

B images, C feature channels, H W image rows and columns, h w feature rows and columns.
"""

from __future__ import annotations

from torch import Tensor, nn

from mila.clip import Predictions
from mila.config import ModelSettings
from mila.encoders import build_encoder, normalise
from mila.heads import Heads


class PerFrame(nn.Module):
    """An encoder with heads of its own: a multi-task network that sees every frame alone."""

    def __init__(self, settings: ModelSettings, *, slow: bool) -> None:
        super().__init__()
        self.encoder = build_encoder(
            settings.slow if slow else settings.fast,
            channels=settings.channels,
            feature_stride=settings.feature_stride,
        )
        self.heads = Heads(settings)

    def read(self, features: Tensor, size: tuple[int, int]) -> Predictions:
        """Features (B, C, h, w) -> predictions of size (H, W)."""
        return {task: head(features, size) for task, head in self.heads.rows()}

    def forward(self, image: Tensor) -> Predictions:
        """Images (B, 3, H, W), uint8 RGB -> predictions."""
        return self.read(self.encoder(normalise(image)).high, image_size(image))


def image_size(image: Tensor) -> tuple[int, int]:
    """Rows and columns of images (B, 3, H, W)."""
    return image.shape[-2], image.shape[-1]
