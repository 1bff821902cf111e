"""Run the workers of one training: in this process, or under Ray Train, until it is finished."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.cluster import Needs, ray_cluster
from flows.ray_storage import ray_storage
from flows.recorder import Recorder
from flows.run_storage import RunStorage
from mila.config import ClusterSettings, Params

if TYPE_CHECKING:
    from flows.progress import Progress
    from flows.ray_context import ControllerCallback

_LOCAL_LOOK_S = 0.5
_REMOTE_LOOK_S = 5.0


class TrainingError(RuntimeError):
    """Training ended before its last report; the same command goes on from the last checkpoint."""


def train_in_process(
    run: RunStorage, params: Params, identity: str, recorder: Recorder, progress: Progress
) -> None:
    """Train here, without Ray."""
    from flows.plain_context import PlainContext
    from mila.training.worker import work

    context = PlainContext(run, recorder, params.cluster, show=progress.show)
    work(context, params, identity=identity)


def train_on_ray(
    run: RunStorage, params: Params, identity: str, recorder: Recorder, progress: Progress
) -> None:
    """Train on Ray workers; a fit that ended early for a node's sake is followed by another.

    Raises:
        ValueError: If the cluster is not there or too small, or the workers met bad input.
        TrainingError: If the workers failed too often.
    """
    look = _REMOTE_LOOK_S if "://" in run.url else _LOCAL_LOOK_S
    with ray_cluster(Needs.of_training(params.cluster)):
        from flows.notices import Notices
        from flows.ray_context import ControllerCallback

        notices = Notices()
        callback = ControllerCallback(recorder, notices)
        with progress.follow(run.journal, every_s=look, notices=notices.fetch):
            while not run.finished():
                before = run.journal.length()
                _fit(run, params, identity, callback)
                if run.journal.length() == before:
                    raise TrainingError(f"{run.url}: the workers ended without any progress")


def _fit(run: RunStorage, params: Params, identity: str, callback: ControllerCallback) -> None:
    from ray.exceptions import RayError
    from ray.train import FailureConfig, LoggingConfig, RunConfig, TrainingFailedError
    from ray.train.torch import TorchTrainer

    from flows.ray_context import train_worker

    place = ray_storage(run.url)
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={
            "run": run.url,
            "params": params.model_dump(mode="json"),
            "identity": identity,
        },
        scaling_config=_scaling(params.cluster),
        run_config=RunConfig(
            name="ray",
            storage_path=place.path,
            storage_filesystem=place.filesystem,
            failure_config=FailureConfig(max_failures=params.cluster.max_failures),
            callbacks=[callback],
            logging_config=LoggingConfig(log_level="WARNING"),
        ),
    )
    try:
        trainer.fit()
    except TrainingFailedError as error:
        _explain(error)
    except RayError as error:
        raise TrainingError(f"Ray gave up: {error}") from error


def _scaling(cluster: ClusterSettings) -> Any:
    from ray.train import ScalingConfig

    workers: int | tuple[int, int] = cluster.num_workers
    if cluster.min_workers is not None:
        workers = (cluster.min_workers, cluster.num_workers)
    resources: dict[str, float] = {"CPU": cluster.cpus_per_worker}
    if cluster.use_gpu:
        resources["GPU"] = 1
    return ScalingConfig(
        num_workers=workers, use_gpu=cluster.use_gpu, resources_per_worker=resources
    )


def _explain(error: Any) -> None:
    """Raise what a person can use: the sentence of the first cause."""
    failures = dict(getattr(error, "worker_failures", {}))
    causes = [getattr(e, "_base_exc", e) for _, e in sorted(failures.items())]
    cause = getattr(error, "controller_failure", None) or (causes[0] if causes else error)
    if isinstance(cause, ValueError) and not isinstance(cause, OSError):
        raise ValueError(str(cause)) from error
    raise TrainingError(f"training failed: {type(cause).__name__}: {cause}") from error
