"""Projections of features to what attention compares and carries.

B samples, C feature channels, d channels of query and key, h w feature rows and columns.
Source: method choice 3.5 (one theta for query and key by default; alternatives to ablate).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mila.config import PropagationSettings

_FIRST_TEMPERATURE = 10.0


class Projection(nn.Module):
    """Query, key and value of one attention, made so that q.k / sqrt(d) is the score."""

    def __init__(
        self, settings: PropagationSettings, channels: int, *, compared: int | None = None
    ) -> None:
        """Build.

        Args:
            settings: Which projections there are, and how scores are scaled.
            channels: C, of what is carried.
            compared: Channels of what is compared, if that is something else.
        """
        super().__init__()
        self.carried = channels
        self.features = compared or channels
        self.scaling = settings.scaling
        self.channels = self.features if settings.projection == "none" else settings.key_channels
        self.theta: nn.Conv2d | None = None
        self.theta_key: nn.Conv2d | None = None
        self.value_conv: nn.Conv2d | None = None
        if settings.projection != "none":
            self.theta = _orthogonal(self.features, self.channels)
        if settings.projection == "separate":
            self.theta_key = _orthogonal(self.features, self.channels)
        if settings.value == "conv":
            self.value_conv = nn.Conv2d(channels, channels, 1, bias=False)
            nn.init.dirac_(self.value_conv.weight)  # training starts from unchanged features
        if settings.scaling == "cosine":
            self.log_temperature = nn.Parameter(torch.tensor(math.log(_FIRST_TEMPERATURE)))

    def query(self, features: Tensor) -> Tensor:
        """Project what is compared of the frame that asks -> (B, d, h, w)."""
        return self._compared(features if self.theta is None else self.theta(features))

    def key(self, features: Tensor) -> Tensor:
        """Project features of a frame that answers; the same as `query` unless separate."""
        return (
            self.query(features)
            if self.theta_key is None
            else self._compared(self.theta_key(features))
        )

    def value(self, features: Tensor) -> Tensor:
        """Give what is carried over, (B, C, h, w)."""
        return features if self.value_conv is None else self.value_conv(features)

    def scaled(self, query: Tensor) -> Tensor:
        """Apply the scaling on top of the operation's own division by sqrt(d)."""
        if self.scaling == "sqrt":
            return query
        factor = math.sqrt(self.channels)
        if self.scaling == "one":
            return query * factor
        return query * (self.log_temperature.exp() * factor).to(query.dtype)

    def macs(self, height: int, width: int) -> int:
        """Multiply-adds of one query or key map."""
        return 0 if self.theta is None else height * width * self.features * self.channels

    def value_macs(self, height: int, width: int) -> int:
        """Multiply-adds of one value map."""
        return 0 if self.value_conv is None else height * width * self.carried**2

    def _compared(self, projected: Tensor) -> Tensor:
        return F.normalize(projected, dim=1) if self.scaling == "cosine" else projected


def _orthogonal(inputs: int, outputs: int) -> nn.Conv2d:
    """A 1x1 convolution that keeps lengths within the space it keeps."""
    theta = nn.Conv2d(inputs, outputs, 1, bias=False)
    nn.init.orthogonal_(theta.weight)
    return theta
