"""One training, from settings to results: name, identity, lease, workers, record, delivery.

May be repeated at any time: a run goes on from its last committed checkpoint, a finished one is
delivered again within seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flows.cluster import absolute, base_folder, set_environment
from flows.delivery import (
    Outcome,
    export_run,
    holds_weights,
    read_outcome,
    record_results,
    write_outcome,
    write_results,
)
from flows.lease import acquire_lease
from flows.provenance import commit_of, provenance
from flows.recorder import Recorder
from flows.run_storage import RunStorage
from flows.tracked_run import TrackedRun
from mila.config import Params
from mila.data.manifest import read_manifest
from mila.data.storage import open_storage
from mila.identity import Identity, checked_run_name, digest_path, identify, run_name

_SEND_AT_END_S = 60.0


@dataclass(frozen=True)
class Order:
    """What is asked of one training beside its settings.

    Attributes:
        name: Of the run; empty = made of the identity, so that other settings get another run.
        out: Folder for the exported model.
        report: File for the results.
        wait_s: How long to wait for another trainer of this run, seconds.
        accept_sources: Go on with a run although sources changed since it began.
    """

    name: str
    out: Path
    report: Path
    wait_s: float = 0.0
    accept_sources: bool = False


def train(params: Params, order: Order, say: Callable[[str], None]) -> Outcome:
    """Train, or go on, or deliver what is finished.

    Raises:
        ValueError: For bad input, another identity under this name, or a live other trainer.
        TrainingError: If the workers failed too often.
    """
    set_environment()
    params = located(params, base_folder())
    if not any(getattr(params.train, stage).updates for stage in ("slow", "fast", "joint")):
        raise ValueError("train: all stages have updates=0; there is nothing to train")
    identity = identify(params, inputs_of(params))
    name = checked_run_name(order.name or run_name("train", identity))
    run = RunStorage(f"{params.cluster.storage}/{name}")
    bound = run.bind(identity, accept_sources=order.accept_sources)
    outcome = read_outcome(run)
    if outcome is not None:
        say(f"run {name} is finished; nothing to train")
        if not holds_weights(order.out, outcome.weights_sha256):
            export_run(run, params, origin_of(outcome), order.out)
    else:
        with acquire_lease(run.storage, wait_s=order.wait_s, say=say) as lease:
            outcome = _train(run, params, bound, order, attempt=lease.generation)
    write_results(order.report, outcome, run.journal)
    return outcome


def located(params: Params, base: Path) -> Params:
    """The settings with every path absolute: workers start in other folders."""
    data = params.data.model_copy(update={"root": absolute(params.data.root, base)})
    cluster = params.cluster.model_copy(update={"storage": absolute(params.cluster.storage, base)})
    updates = {"data": data, "cluster": cluster}
    if params.train.start_from:
        start = absolute(params.train.start_from, base)
        updates["train"] = params.train.model_copy(update={"start_from": start})
    return params.model_copy(update=updates)


def inputs_of(params: Params) -> dict[str, str]:
    """Settings that name files -> digest of what lies there.

    Raises:
        ValueError: If something is missing.
    """
    inputs = {"data.root": read_manifest(open_storage(params.data.root)).fingerprint}
    if params.train.start_from:
        weights = Path(params.train.start_from) / "weights.pt"
        inputs["train.start_from"] = digest_path(weights)
    for side in ("slow", "fast"):
        path = getattr(params.model, side).weights
        if path:
            inputs[f"model.{side}.weights"] = digest_path(Path(path))
    return inputs


def origin_of(outcome: Outcome) -> dict[str, str]:
    """What ties exported weights to their run."""
    return {
        "run": outcome.run,
        "identity": outcome.identity,
        "mlflow_run_id": outcome.mlflow_run_id,
        "commit": outcome.commit,
        "data": outcome.data,
    }


def _train(
    run: RunStorage, params: Params, identity: Identity, order: Order, *, attempt: int
) -> Outcome:
    """Under the lease: train what is left, deliver, and note that all is done."""
    from flows.tracking import start_run

    name = run.url.rpartition("/")[2]
    tags = {**provenance(identity), "run.attempts": str(attempt), "run.storage": run.url}
    with start_run(
        "train", name, params=identity.settings, tags=tags, settings=params.tracking
    ) as tracked:
        if not run.finished():
            _launch(run, params, identity, Recorder(run.storage, tracked, attempt=attempt))
        outcome = _outcome(name, identity, tracked)
        sha256 = export_run(run, params, origin_of(outcome), order.out)
        outcome = Outcome(**{**vars(outcome), "weights_sha256": sha256})
        if record_results(tracked, run, params, order.out, identity):
            write_outcome(run, outcome)
    return outcome


def _outcome(name: str, identity: Identity, tracked: TrackedRun) -> Outcome:
    return Outcome(
        run=name,
        identity=identity.fingerprint,
        mlflow_run_id=tracked.run_id,
        commit=commit_of(),
        data=identity.inputs["data.root"],
        weights_sha256="",
    )


def _launch(run: RunStorage, params: Params, identity: Identity, recorder: Recorder) -> None:
    from flows.launch import train_in_process, train_on_ray
    from flows.progress import Progress
    from mila.training.stages import build_stages

    progress = Progress(sum(stage.settings.updates for stage in build_stages(params.train)))
    runner = train_on_ray if params.cluster.num_workers else train_in_process
    try:
        runner(run, params, identity.fingerprint, recorder, progress)
    finally:
        progress.close()
        recorder.close(_SEND_AT_END_S)
