"""Everything a run needs to go on exactly, saved and restored as one file."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mila.config import Params
from mila.discriminator import Discriminator
from mila.losses import TaskLoss
from mila.model import Mila, build_model
from mila.training.optim import (
    build_optimizer,
    build_schedule,
)
from mila.training.stages import Stage, build_stages, set_trained, trained_modules

_FILE = "state.pt"


@dataclass
class Progress:
    """Where the run stands.

    Attributes:
        stage: Index into the stages; their number when the run is done.
        update: Updates completed in the stage.
        total_update: Updates completed over all stages.
        epoch: Passes over the training clips completed in the stage.
        position: Clips consumed by all ranks in this epoch.
        clips: Clips consumed by all ranks over all stages.
    """

    stage: int = 0
    update: int = 0
    total_update: int = 0
    epoch: int = 0
    position: int = 0
    clips: int = 0


class TrainState:
    """Networks, optimizers, schedules, averages, random states and progress of a run."""

    def __init__(self, params: Params, *, device: torch.device, identity: str = "") -> None:
        """Fresh state; the seed decides the weights."""
        random.seed(params.train.seed)
        np.random.seed(params.train.seed)
        torch.manual_seed(params.train.seed)
        self.params = params
        self.device = device
        self.identity = identity
        self.stages: tuple[Stage, ...] = build_stages(params.train)
        self.model: Mila = build_model(params.model).to(device)
        self.discriminator = Discriminator(
            params.model.channels, spectral=params.loss.spectral_norm
        ).to(device)
        self.task_loss = TaskLoss(params.model.tasks, params.loss).to(device)
        self.progress = Progress()
        self.optimizer: AdamW | None = None
        self.schedule: LambdaLR | None = None
        self.second: AdamW | None = None
        self.second_schedule: LambdaLR | None = None
        self.average: AveragedModel | None = None

    @property
    def stage(self) -> Stage | None:
        """The stage under way; None when the run is done."""
        done = self.progress.stage >= len(self.stages)
        return None if done else self.stages[self.progress.stage]

    @property
    def evaluated(self) -> Mila:
        """The network that is scored: the weight average where there is one."""
        if self.average is None:
            return self.model
        averaged = self.average.module
        assert isinstance(averaged, Mila)
        return averaged

    def enter_stage(self) -> None:
        """Prepare optimizers for the stage under way, and the weights if it has not begun."""
        stage = self.stage
        if stage is None:
            return
        if stage.is_joint and self.progress.update == 0:
            self.model.start_joint()
        modules = trained_modules(stage, self.model, self.params.loss)
        set_trained(self.model, modules)
        self.optimizer = build_optimizer((*modules, self.task_loss), stage.settings)
        self.schedule = build_schedule(self.optimizer, stage.settings)
        self.second = self.second_schedule = None
        if stage.is_joint and self.params.loss.adversary != "none":
            rate = self.params.loss.discriminator_rate
            plain = stage.settings.model_copy(update={"optimizer": "adamw"})
            self.second = build_optimizer([self.discriminator], plain, rate=rate)
            self.second_schedule = build_schedule(self.second, stage.settings)
        self.average = None
        if self.params.train.ema > 0:
            average = get_ema_multi_avg_fn(self.params.train.ema)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(self.model, multi_avg_fn=average)

    def leave_stage(self) -> None:
        """Take over the averaged weights, if any, and move to the next stage."""
        if self.average is not None:
            self.model.load_state_dict(self.average.module.state_dict())
        p = self.progress
        p.stage, p.update, p.epoch, p.position = p.stage + 1, 0, 0, 0
        self.optimizer = self.schedule = self.second = self.second_schedule = self.average = None

    def save(self, folder: Path) -> None:
        """Write `state.pt`.

        Raises:
            OSError: If it cannot be written, for instance because the disk is full.
        """
        try:
            torch.save(self._tree(), folder / _FILE)
        except RuntimeError as error:  # how torch says that a write failed
            raise OSError(f"{folder / _FILE}: cannot be written: {error}") from error

    def load(self, folder: Path) -> None:
        """Read `state.pt` and stand where it was written.

        Raises:
            ValueError: If the checkpoint belongs to another identity.
        """
        tree = torch.load(folder / _FILE, map_location=self.device, weights_only=True)
        if tree["identity"] != self.identity:
            raise ValueError(
                f"checkpoint {folder} belongs to run identity {tree['identity']}, expected "
                f"{self.identity}"
            )
        self.progress = Progress(**tree["progress"])
        self.model.load_state_dict(tree["model"])
        self.enter_stage()
        for name, part in self._parts().items():
            part.load_state_dict(tree[name])
        _set_random_states(tree["random"])

    def _parts(self) -> dict[str, Any]:
        parts = {
            "discriminator": self.discriminator,
            "task_loss": self.task_loss,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "second": self.second,
            "second_schedule": self.second_schedule,
            "average": self.average,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def _tree(self) -> dict[str, Any]:
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        return {
            "identity": self.identity,
            "progress": vars(self.progress).copy(),
            "model": self.model.state_dict(),
            "random": _random_states(),
            **parts,
        }


def _random_states() -> dict[str, Any]:
    states: dict[str, Any] = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    kind, keys, place, has_gauss, cached = np.random.get_state(legacy=True)
    states["numpy"] = [kind, np.asarray(keys).tolist(), place, has_gauss, cached]
    version, internal, gauss = random.getstate()
    states["python"] = [version, list(internal), gauss]
    return states


def _set_random_states(states: dict[str, Any]) -> None:
    torch.set_rng_state(states["torch"].cpu())
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([s.cpu() for s in states["cuda"]])
    kind, keys, place, has_gauss, cached = states["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), place, has_gauss, cached))
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
