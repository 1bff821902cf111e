"""The stages of a run: what each trains, on which frames, and what it starts from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from mila.config import LossSettings, StageSettings, TrainSettings
from mila.model import Mila

StageName = Literal["slow", "fast", "joint", "fast_alone"]


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: slow and fast per frame; joint on clips; fast_alone goes on with the fast network as
            long as the joint stage lasted, so that it had the same budget when they are compared.
        settings: Updates, batch size, learning rate.
        seed: Of the data order; differs between stages.
    """

    name: StageName
    settings: StageSettings
    seed: int

    @property
    def is_joint(self) -> bool:
        """Whether the stage trains on clips."""
        return self.name == "joint"


def build_stages(train: TrainSettings) -> tuple[Stage, ...]:
    """The stages that have updates, in order."""
    alone = train.fast.model_copy(
        update={"updates": train.joint.updates if train.fast.updates else 0}
    )
    rows: tuple[tuple[StageName, StageSettings], ...] = (
        ("slow", train.slow),
        ("fast", train.fast),
        ("joint", train.joint),
        ("fast_alone", alone),
    )
    return tuple(
        Stage(name, settings, seed=4 * train.seed + i)
        for i, (name, settings) in enumerate(rows)
        if settings.updates > 0
    )


def trained_modules(stage: Stage, model: Mila, loss: LossSettings) -> tuple[nn.Module, ...]:
    """The modules that the stage moves; all others are frozen and in eval mode."""
    if stage.name == "slow":
        return (model.slow,)
    if stage.name in ("fast", "fast_alone"):
        return (model.fast_alone,)
    own = (model.fast, model.propagation, model.fusions, model.heads)
    return own if loss.gradient == "frozen" else (model.slow, *own)


def set_trained(model: Mila, modules: Iterable[nn.Module]) -> None:
    """Freeze everything but these; frozen parts keep their batch statistics."""
    model.requires_grad_(False)
    model.eval()
    for module in modules:
        module.requires_grad_(True)
        module.train()
