"""Tell slow features from fast ones, and the gradient reversal that turns it into alignment.

Source: MILA's adversarial loss (arXiv:2002.07362); gradient reversal: Ganin and Lempitsky, 2015.
The form of the discriminator is our choice: a map of decisions, no batch norm; spectral norm
(Miyato et al., 2018) on request.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class Discriminator(nn.Module):
    """Features (B, C, h, w) -> logits (B, 1, h, w); positive = slow."""

    def __init__(self, channels: int, *, spectral: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, n, 3, padding=1) for n in (channels, 1)]
        if spectral:
            layers = [spectral_norm(layer) for layer in layers]
        self.body = nn.Sequential(layers[0], nn.LeakyReLU(0.2), layers[1])

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
