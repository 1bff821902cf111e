"""Parameter groups, optimizers and schedules from settings; what is averaged over ranks."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from mila.config import StageSettings
from mila.training.muon import MuonAdamW, is_kernel

_BETAS = (0.9, 0.99)


def build_optimizer(
    modules: Iterable[nn.Module], stage: StageSettings, *, rate: float = 1.0
) -> AdamW:
    """The stage's optimizer over the parameters that want a gradient.

    Vectors and scalars do not decay. With Muon, kernels between hidden layers take its steps.
    """
    kernels: list[Tensor] = []
    decay: list[Tensor] = []
    rest: list[Tensor] = []
    for module in modules:
        for parameter in module.parameters():
            if parameter.requires_grad:
                fits = stage.optimizer == "muon" and is_kernel(parameter)
                chosen = kernels if fits else decay if parameter.dim() > 1 else rest
                chosen.append(parameter)
    groups = [
        {"params": decay, "weight_decay": stage.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    peak = stage.learning_rate * rate
    if stage.optimizer == "adamw":
        return AdamW(groups, lr=peak, betas=_BETAS)
    orthogonal = {"params": kernels, "weight_decay": stage.weight_decay, "orthogonal": True}
    return MuonAdamW([orthogonal, *groups], lr=peak, betas=_BETAS)


def build_schedule(optimizer: AdamW, stage: StageSettings) -> LambdaLR:
    """Linear warm-up, then half a cosine to zero."""
    warmup = max(1, round(stage.warmup * stage.updates))

    def factor(update: int) -> float:
        if update < warmup:
            return (update + 1) / warmup
        done = (update - warmup) / max(1, stage.updates - warmup)
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))

    return LambdaLR(optimizer, factor)


def parameters_of(optimizer: AdamW) -> list[Tensor]:
    """Every parameter the optimizer moves, in its order."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def average_gradients(parameters: list[Tensor], world_size: int) -> None:
    """Replace each gradient by its mean over ranks, as one flat message.

    Two players with two optimizers, reversal and frozen parts stay plain this way: no wrapper has
    to know which parameter takes part in which backward pass. Missing gradients count as zero.
    """
    if world_size == 1:
        return
    flat = torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters]
    )
    dist.all_reduce(flat)
    flat /= world_size
    at = 0
    for p in parameters:
        p.grad = flat[at : at + p.numel()].view_as(p).clone()
        at += p.numel()


def average_statistics(network: nn.Module, world_size: int) -> None:
    """Replace running statistics by their means over ranks, as one flat message.

    Every rank then holds what rank 0 saves: a run that goes on from a checkpoint is the run that
    was never stopped. Statistics of networks that are not trained now are left alone.
    """
    if world_size == 1:
        return
    moving = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.training]
    statistics = [s for m in moving for s in (m.running_mean, m.running_var) if s is not None]
    if not statistics:
        return
    flat = torch.cat(statistics)
    dist.all_reduce(flat)
    flat /= world_size
    for own, mean in zip(
        statistics, flat.split_with_sizes([s.numel() for s in statistics]), strict=True
    ):
        own.copy_(mean)
