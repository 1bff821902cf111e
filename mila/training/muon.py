"""Muon for the kernels of convolutions, AdamW for everything else, as one optimizer.

Source: Jordan et al., 2024, "Muon: an optimizer for hidden layers in neural networks"; steps scaled
to the size of AdamW's as in Liu et al., 2025 (arXiv:2502.16982), so that one learning rate serves
both. `torch.optim.Muon` takes matrices alone and no other parameters beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW

_MOMENTUM = 0.95
_LIKE_ADAMW = 0.2
"""Root mean square of a usual AdamW step at learning rate 1."""
_ITERATIONS = 5
_QUINTIC = (3.4445, -4.7750, 2.0315)
_LEAST_SIDE = 4
"""Kernels with fewer channels are first or last layers, which Muon's source leaves out."""


def is_kernel(parameter: Tensor) -> bool:
    """Whether a parameter is the kernel of a convolution between hidden layers."""
    return parameter.dim() == 4 and min(parameter.shape[:2]) >= _LEAST_SIDE


class MuonAdamW(AdamW):
    """AdamW whose groups with `orthogonal=True` take steps of Muon instead."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step by the gradients that are there.

        Raises:
            ValueError: If a closure is given: nothing here evaluates the loss again.
        """
        if closure is not None:
            raise ValueError("MuonAdamW.step takes no closure")
        for group in self.param_groups:
            if group.get("orthogonal"):
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._move(parameter, group)
                        parameter.grad = None  # so that AdamW leaves it alone
        return super().step()

    def _move(self, parameter: Tensor, group: dict[str, Any]) -> None:
        """Decay, then go along the orthogonalised momentum (Nesterov's form)."""
        gradient = parameter.grad
        assert gradient is not None
        state = self.state[parameter]
        if "momentum" not in state:
            state["step"] = torch.zeros(())  # AdamW counts, and looks for it when restored
            state["momentum"] = torch.zeros_like(gradient)
        state["step"] += 1
        momentum: Tensor = state["momentum"]
        momentum.mul_(_MOMENTUM).add_(gradient)
        direction = orthogonalised((gradient + _MOMENTUM * momentum).flatten(1))
        size = _LIKE_ADAMW * math.sqrt(max(direction.shape))
        parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
        parameter.add_(direction.view(parameter.shape), alpha=-group["lr"] * size)


def orthogonalised(matrix: Tensor) -> Tensor:
    """Nearly the closest matrix whose singular values are all 1, (R, S) -> (R, S), float32.

    Five Newton-Schulz iterations: singular values end between about 0.7 and 1.2, which is enough.
    Each multiplies by a polynomial of the Gram matrix from the left, so they are collected at its
    size, (R, R), and meet the matrix once: 37 % of the multiply-adds for S = 9 R
    (`benchmarks/muon.py`).
    """
    rows, columns = matrix.shape
    if rows > columns:
        return orthogonalised(matrix.T).T.contiguous()
    x = matrix.float()
    x = x / x.norm().clamp(min=1e-7)
    gram = x @ x.T
    unit = torch.eye(rows, device=x.device)
    total = step = _polynomial(gram, unit)
    for _ in range(_ITERATIONS - 1):
        gram = step @ gram @ step
        step = _polynomial(gram, unit)
        total = step @ total
    directions: Tensor = total @ x
    return directions


def _polynomial(gram: Tensor, unit: Tensor) -> Tensor:
    """What one iteration multiplies by: a + b gram + c gram^2, (R, R)."""
    a, b, c = _QUINTIC
    result: Tensor = torch.addmm(unit * a + gram * b, gram, gram, alpha=c)
    return result
