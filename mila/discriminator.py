"""Tell slow features from fast ones, and the gradient reversal that turns it into alignment.

Source: MILA's adversarial loss (arXiv:2002.07362); gradient reversal: Ganin and Lempitsky, 2015.
The form of the discriminator is our choice: a map of decisions, no batch norm.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Discriminator(nn.Module):
    """Features (B, C, h, w) -> logits (B, 1, h, w); positive = slow."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, 1, 3, padding=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """One decision per position."""
        logits: Tensor = self.body(features)
        return logits


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, beta: float) -> Tensor:
        ctx.beta = beta
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.beta * gradients[0], None


def reverse_gradient(x: Tensor, beta: float) -> Tensor:
    """Identity forward; multiplies the gradient by -beta backward."""
    out: Tensor = _Reverse.apply(x, beta)  # type: ignore[no-untyped-call]
    return out


def unit_rms(features: Tensor) -> Tensor:
    """Divide every position by its root mean square over channels, (B, C, h, w)."""
    x = features.float()
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-6)
