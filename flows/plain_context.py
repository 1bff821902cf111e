"""What a worker needs from a plain process: storage and history as under Ray, without Ray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import torch

from flows.recorder import Recorder
from flows.run_storage import Keeper, RunStorage, Stored
from mila.config import ClusterSettings
from mila.training.context import Checkpointable, Report


class PlainContext:
    """The only worker of a run, in this process."""

    rank = 0
    world_size = 1

    def __init__(
        self,
        run: RunStorage,
        recorder: Recorder,
        cluster: ClusterSettings,
        *,
        show: Callable[[Report], None] = lambda _: None,
    ) -> None:
        """Prepare.

        Args:
            run: Where checkpoints go.
            recorder: Told of every stored checkpoint.
            cluster: Device, checkpoints kept, failures tolerated.
            show: Called with every committed report.

        Raises:
            ValueError: If a GPU is wanted and there is none.
        """
        if cluster.use_gpu and not torch.cuda.is_available():
            raise ValueError("cluster.use_gpu=true: expected a CUDA device, found none")
        self.device = torch.device("cuda" if cluster.use_gpu else "cpu")
        self._run = run
        self._recorder = recorder
        self._show = show
        self._keeper = Keeper(run, cluster, warn=recorder.warned)

    def restore(self, state: Checkpointable) -> bool:
        """Load the newest committed checkpoint; False if there is none."""
        return self._run.restore(state) is not None

    def commit(self, report: Report, state: Checkpointable) -> None:
        """Store, verify, register; then forget older checkpoints."""
        stored = self._keeper.store(report, state)
        if stored is not None and self._keeper.confirm(stored, lambda: self._register(stored)):
            self._show(stored.report)

    def _register(self, stored: Stored) -> None:
        self._recorder.record(asdict(stored.report), stored.checkpoint)

    def stopping(self) -> bool:
        """Never: nobody gives notice to a plain process."""
        return False
