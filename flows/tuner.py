"""Ray Tune as a sweep uses it: the trials that are left are run, from where it was interrupted."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.cluster import Needs, ray_cluster
from flows.ray_storage import ray_storage
from flows.run_storage import RunStorage
from flows.trials import Trial, trainable
from mila.config import Params

if TYPE_CHECKING:
    from flows.sweep_progress import SweepProgress

_ENVIRONMENT = {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "TUNE_DISABLE_SIGINT_HANDLER": "1"}


def run_trials(
    run: RunStorage,
    params: Params,
    fingerprint: str,
    gmac: Mapping[str, float],
    say: Callable[[str], None],
) -> dict[str, str]:
    """Run the trials that are left.

    Args:
        run: The sweep's storage.
        params: Settings of the sweep, every path absolute.
        fingerprint: Of the sweep's identity.
        gmac: Name of a trial -> GMAC of a mean frame.
        say: Takes the lines of progress.

    Returns:
        Name of a failed trial -> why.
    """
    for variable, value in _ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    needs = Needs(params.cluster.cpus_per_worker, float(params.cluster.use_gpu))
    with ray_cluster(needs):
        from ray import tune

        from flows.sweep_progress import SweepProgress

        keep_keys_home()
        resources = {"CPU": needs.cpus, "GPU": needs.gpus}
        body = trainable(run.url, params, fingerprint, gmac)
        told = SweepProgress(len(gmac), params.sweep.updates, say)
        results = _tuner(run, params, tune.with_resources(body, resources), told).fit()
        errors = [result for result in results if result.error is not None]
        return {Path(result.path).name: _cause(result.error) for result in errors}


def keep_keys_home() -> None:
    """Keep Tune from sending the driver's AWS keys to trials: Ray logs what it sends.

    Nodes have keys of their own. Tune has no setting for it, so its own list is made shorter.
    """
    from ray.tune.execution import class_cache

    kept = {name for name in class_cache.ENV_VARS_TO_PROPAGATE if not name.startswith("AWS_")}
    class_cache.ENV_VARS_TO_PROPAGATE = kept


def _tuner(run: RunStorage, params: Params, body: Any, told: SweepProgress) -> Any:
    """The tuner of this sweep, where it was interrupted."""
    from ray import tune
    from ray.tune.logger import JsonLoggerCallback

    from flows.asha import AshaByInterval

    place = ray_storage(f"{run.url}/tune")
    if tune.Tuner.can_restore(place.path, storage_filesystem=place.filesystem):
        return tune.Tuner.restore(
            place.path,
            body,
            resume_unfinished=True,
            resume_errored=True,
            storage_filesystem=place.filesystem,
        )
    settings = params.sweep
    return tune.Tuner(
        body,
        param_space={
            "keyframe_interval": tune.grid_search(list(settings.keyframe_intervals)),
            "radius": tune.grid_search(list(settings.radii)),
            "seed": tune.grid_search(list(settings.seeds)),
        },
        tune_config=tune.TuneConfig(
            metric=None,
            scheduler=AshaByInterval(params),
            max_concurrent_trials=settings.concurrent,
            trial_name_creator=_name_of,
            trial_dirname_creator=_name_of,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=place.path.rpartition("/")[0],
            storage_filesystem=place.filesystem,
            failure_config=tune.FailureConfig(max_failures=params.cluster.max_failures),
            callbacks=[JsonLoggerCallback(), told],
            verbose=0,
        ),
    )


def _name_of(trial: Any) -> str:
    return Trial(**trial.config).name


def _cause(error: BaseException) -> str:
    return str(getattr(error, "cause", None) or error).strip().split("\n")[-1][:300]
