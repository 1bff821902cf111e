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

from flows.notices import Notices
from flows.recorder import Recorder, last_line
from flows.run_storage import Keeper, RunStorage
from mila.config import ClusterSettings, Params
from mila.data.storage import StorageError
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
        self._warnings: list[str] = []
        self._keeper = Keeper(run, cluster, warn=self._warnings.append)

    def restore(self, state: Checkpointable) -> bool:
        """Load the newest committed checkpoint; False if there is none."""
        return self._run.restore(state) is not None

    def commit(self, report: Report, state: Checkpointable) -> None:
        """Return when the checkpoint is stored, verified and in the journal."""
        stored = self._keeper.store(report, state) if self.rank == 0 else None
        message: dict[str, Any] = {"warnings": list(self._warnings)}
        self._warnings.clear()
        if stored is not None:
            message |= {"report": asdict(stored.report), "checkpoint": stored.checkpoint}
        ray.train.report(message)
        # `report` returns when it has been handed over; committed it is after this.
        ray.train.get_all_reported_checkpoints(
            consistency_mode=ray.train.CheckpointConsistencyMode.COMMITTED
        )
        if stored is not None:
            self._keeper.confirm(stored, lambda: self._check(stored.checkpoint))

    def _check(self, checkpoint: str) -> None:
        """Raise StorageError if the controller could not register a checkpoint."""
        if not self._run.registered(checkpoint):
            raise StorageError(f"{self._run.url}: the journal does not name it")

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

    def __init__(self, recorder: Recorder, notices: Notices) -> None:
        """Carry the recorder and the board for the driver there."""
        self._recorder = recorder
        self._notices = notices

    def after_report(
        self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any
    ) -> None:
        """Write the journal; an error here ends the run, but for trouble with the storage."""
        for message in metrics:
            for warning in message["warnings"]:
                self._warn(warning)
            if "checkpoint" in message:
                self._register(message["report"], message["checkpoint"])

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Note the cause, and give up at once where trying again cannot help."""
        for rank, error in sorted(worker_exceptions.items()):
            self._recorder.failed(f"rank {rank}: {error}")
            self._notices.tell(f"rank {rank} ended: {last_line(str(error))}")
        for error in worker_exceptions.values():
            cause = getattr(error, "_base_exc", error)
            if isinstance(cause, ValueError) and not isinstance(cause, OSError):
                raise cause

    def _register(self, report: dict[str, Any], checkpoint: str) -> None:
        """Where it fails, the worker that stored the checkpoint learns of it from the journal."""
        try:
            self._recorder.record(report, checkpoint)
        except StorageError as error:
            self._warn(f"checkpoint {checkpoint} is stored, but not registered: {error}")

    def _warn(self, text: str) -> None:
        self._recorder.warned(text)
        self._notices.tell(text)
