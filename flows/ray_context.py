"""What a worker needs under Ray Train V2, what its workers run, and the controller's callback.

Rank 0 stores and verifies a checkpoint, `ray.train.report` carries its name to the controller,
whose callback writes the journal; the barrier on committed reports lets the workers go on only
then. Ray itself is given no checkpoint: its own record of them could not be kept equal to the
journal, and it has no form for "the upload failed, go on".
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import ray.train
import ray.train.torch

from flows.recorder import Recorder
from flows.run_storage import Keeper, RunStorage
from mila.config import ClusterSettings, Params
from mila.training.context import Checkpointable, Report
from mila.training.worker import work


class RayContext:
    """One worker of a Ray Train run."""

    def __init__(self, run: RunStorage, cluster: ClusterSettings) -> None:
        """Read rank, world size and device from Ray."""
        context = ray.train.get_context()
        self.rank = context.get_world_rank()
        self.world_size = context.get_world_size()
        self.device = ray.train.torch.get_device()
        self._run = run
        self._keep = cluster.keep_checkpoints
        self._keeper = Keeper(run, tolerate=cluster.checkpoint_failures)

    def restore(self, state: Checkpointable) -> bool:
        """Load the newest committed checkpoint; False if there is none."""
        return self._run.restore(state) is not None

    def commit(self, report: Report, state: Checkpointable) -> None:
        """Return when the checkpoint is stored, verified and in the journal."""
        message: dict[str, Any] = {}
        if self.rank == 0 and (stored := self._keeper.store(report, state)):
            message = {"report": asdict(stored[0]), "checkpoint": stored[1]}
        ray.train.report(message)
        # `report` returns when it has been handed over; committed it is after this.
        ray.train.get_all_reported_checkpoints(
            consistency_mode=ray.train.CheckpointConsistencyMode.COMMITTED
        )
        if message:
            self._run.keep_newest(self._keep)

    def stopping(self) -> bool:
        """Whether a node of this run is about to be taken away; the driver then starts anew."""
        return ray.train.get_preemption_info() is not None


def train_worker(settings: dict[str, Any]) -> None:
    """Run one worker.

    Args:
        settings: `run` (URL of the run's storage), `params` (all settings as plain values) and
            `identity` (fingerprint that checkpoints carry).
    """
    params = Params.model_validate(settings["params"])
    context = RayContext(RunStorage(settings["run"]), params.cluster)
    work(context, params, identity=settings["identity"])


class ControllerCallback(ray.train.UserCallback):
    """Runs in Ray Train's controller: the only writer of the history."""

    def __init__(self, recorder: Recorder) -> None:
        """Carry the recorder there."""
        self._recorder = recorder

    def after_report(
        self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any
    ) -> None:
        """Write the journal; an error here ends the run."""
        for message in metrics:
            if "checkpoint" in message:
                self._recorder.record(message["report"], message["checkpoint"])

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Note the cause, and give up at once where trying again cannot help."""
        for rank, error in sorted(worker_exceptions.items()):
            self._recorder.failed(f"rank {rank}: {error}")
        for error in worker_exceptions.values():
            cause = getattr(error, "_base_exc", error)
            if isinstance(cause, ValueError) and not isinstance(cause, OSError):
                raise cause
