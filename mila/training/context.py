"""What a training worker needs from whatever runs it, and the form for a plain process."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import torch

from mila.tasks import TASKS


@dataclass(frozen=True)
class Report:
    """What happened since the last report.

    Attributes:
        stage: Name of the stage.
        update: Updates completed in this stage.
        total_update: Updates completed over all stages: the step of every metric.
        stage_updates: Updates this stage will have.
        metrics: Means over the updates since the last report, plus validation results.
        series: Values of every update since the last report, in order: metric -> list; means over
            ranks, whose clips differ.
        clips_per_second: Over all ranks.
        wait_share: Time blocked waiting for data / wall time.
        seconds_left: Estimate for the rest of the run.
        last: Whether the run ends with this report.
    """

    stage: str
    update: int
    total_update: int
    stage_updates: int
    metrics: dict[str, float] = field(default_factory=dict)
    series: dict[str, list[float]] = field(default_factory=dict)
    clips_per_second: float = 0.0
    wait_share: float = 0.0
    seconds_left: float = 0.0
    last: bool = False

    def line(self) -> str:
        """One line for people: loss, the main metrics, pace, and the time to go."""
        main = {f"val/{task}/{row.metric}" for task, row in TASKS.items()}
        shown = [f"{k.removeprefix('val/')} {v:.3f}" for k, v in self.metrics.items() if k in main]
        loss = f"loss {self.metrics['loss']:.3f}" if "loss" in self.metrics else ""
        left = f"{int(self.seconds_left // 60)}:{int(self.seconds_left % 60):02d}"
        pace = f"{self.clips_per_second:.1f} clips/s, waiting {100 * self.wait_share:.0f} %"
        words = [f"{self.stage} {self.update}/{self.stage_updates}", loss, *shown, pace]
        return " | ".join(word for word in [*words, f"{left} to go"] if word)


class Checkpointable(Protocol):
    """State that can be written to a folder and read back."""

    def save(self, folder: Path) -> None:
        """Write everything needed to go on exactly."""

    def load(self, folder: Path) -> None:
        """Read it back."""


class Context(Protocol):
    """What a worker needs; `flows/ray_context.py` is the form under Ray."""

    rank: int
    world_size: int
    device: torch.device

    def restore(self, state: Checkpointable) -> bool:
        """Load the newest committed checkpoint; False if there is none."""

    def commit(self, report: Report, state: Checkpointable) -> None:
        """Return only when the checkpoint is stored and registered."""

    def stopping(self) -> bool:
        """Whether the worker shall end after this report, the same answer on every rank."""


class LocalContext:
    """A plain process: checkpoints in a folder, two kept, the newest named last."""

    rank = 0
    world_size = 1

    def __init__(
        self,
        folder: Path,
        *,
        device: torch.device | str = "cpu",
        stop_after: int | None = None,
        show: Callable[[Report], None] | None = None,
    ) -> None:
        """Prepare the folder.

        Args:
            folder: Where checkpoints and reports.jsonl go.
            device: Where the networks live.
            stop_after: End after this many reports, to try resuming; None = run to the end.
            show: Called with every committed report.
        """
        self.device = torch.device(device)
        self._folder = folder
        self._left = stop_after
        self._show = show
        folder.mkdir(parents=True, exist_ok=True)

    def restore(self, state: Checkpointable) -> bool:
        """Load the newest committed checkpoint; False if there is none."""
        pointer = self._folder / "committed"
        if not pointer.exists():
            return False
        state.load(self._folder / pointer.read_text())
        return True

    def commit(self, report: Report, state: Checkpointable) -> None:
        """Write beside, then point to it: a reader sees the old one or the new one."""
        name = f"checkpoint-{report.total_update:08d}"
        target = self._folder / name
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        state.save(target)
        with (self._folder / "reports.jsonl").open("a") as log:
            log.write(json.dumps(asdict(report)) + "\n")
        pointer = self._folder / "committed.new"
        pointer.write_text(name)
        os.replace(pointer, self._folder / "committed")
        for old in sorted(self._folder.glob("checkpoint-*"))[:-2]:
            shutil.rmtree(old)
        if self._left is not None:
            self._left -= 1
        if self._show is not None:
            self._show(report)

    def stopping(self) -> bool:
        """Whether `stop_after` reports have been committed."""
        return self._left is not None and self._left <= 0
