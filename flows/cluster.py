"""Ray for a run: a local one, or the cluster that RAY_ADDRESS names; clear words without one.

A cluster that happens to run on this machine is joined only if RAY_ADDRESS says so (`auto` = the
one that runs here); `ray job submit` sets it. Otherwise Ray starts here and ends with the run.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.working_dir import check_size
from mila.config import ClusterSettings
from mila.identity import ROOT

ENVIRONMENT = {
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # Ray's default of 15 lets anything else on the machine starve the training.
    "RAY_worker_niceness": "0",
    # A server of Ray's that hears nothing for 30 s closes the connection, and a client behind a
    # broken link learns of it 5 minutes later. Ray gives a silent node up after about a minute:
    # until then connections stay.
    "RAY_grpc_keepalive_timeout_ms": "120000",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MPLBACKEND": "Agg",
    # Tensors of every update come and go; memory that is kept needs no new pages from the kernel.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "8000000000",
}
"""Set in this process and in every worker, where nothing else is set."""

_KNOCK_S = 10.0
_WAIT_VARIABLE = "MILA_WAIT_FOR_NODES_S"
_OBJECT_STORE_BYTES = 200_000_000
_UNPACKED = "runtime_resources"  # part of the path of every folder that Ray unpacks


@dataclass(frozen=True)
class Needs:
    """What a run takes from the cluster."""

    cpus: float
    gpus: float

    @classmethod
    def of_training(cls, cluster: ClusterSettings) -> Needs:
        """The smallest number of workers it may run with."""
        workers = cluster.min_workers or cluster.num_workers
        return cls(workers * cluster.cpus_per_worker, float(workers if cluster.use_gpu else 0))


def set_environment() -> None:
    """Give this process the variables that its children and workers need."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def restart_with_environment() -> None:
    """Start this command anew if it was not started with these variables.

    For verbs that train in their own process: the allocator reads its variables once.
    """
    if not all(name in os.environ for name in ENVIRONMENT):
        set_environment()
        os.execv(sys.executable, sys.orig_argv)


@contextlib.contextmanager
def ray_cluster(needs: Needs) -> Iterator[None]:
    """Have Ray for a block.

    Raises:
        ValueError: If no cluster answers, it refuses us, or it is too small.
    """
    set_environment()
    import ray

    if ray.is_initialized():  # somebody in this process has it already, and ends it
        _check_resources(needs, patience_s=0.0)
        yield
        return
    address = os.environ.get("RAY_ADDRESS", "")
    if address:
        _join(address)
    else:
        _start(needs)
    try:
        _check_resources(needs, patience_s=_patience(address))
        yield
    finally:
        ray.shutdown()


def base_folder() -> Path:
    """The folder that relative paths of data and results mean.

    MILA_HOME if set; else the working folder. A job that Ray unpacked into a temporary folder means
    the folder where its node was started, the working folder of the nearest process above it that
    lives elsewhere: results must outlive the job.
    """
    if home := os.environ.get("MILA_HOME"):
        return Path(home)
    here = Path.cwd()
    if _UNPACKED not in here.parts:
        return here
    import psutil

    folders = (Path(parent.cwd()) for parent in psutil.Process().parents())
    return next((folder for folder in folders if _UNPACKED not in folder.parts), here)


def absolute(path: str, base: Path) -> str:
    """A path that means the same everywhere; URLs stay."""
    return path if "://" in path else str((base / path).absolute())


def _start(needs: Needs) -> None:
    import ray

    have = os.cpu_count() or 1
    if needs.cpus > have:
        raise ValueError(_too_small("this machine", "CPUs", needs.cpus, have))
    # Ray gives workers the folder of the script, not the project's; they inherit this.
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    ray.init(
        address="local",
        include_dashboard=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        logging_level=logging.WARNING,
        log_to_driver=False,
    )


def _join(address: str) -> None:
    import ray
    from ray.exceptions import RayError

    if address.startswith(("http://", "https://")):
        raise ValueError(
            f"RAY_ADDRESS={address} is a job server; use: ray job submit -- python flows/train.py"
        )
    runtime = _runtime_environment()
    try:
        _knock(address)
        ray.init(
            address=address,
            runtime_env=runtime,
            logging_level=logging.WARNING,
            log_to_driver=False,
        )
    except (OSError, RuntimeError, ValueError, RayError) as error:
        reason = str(error).strip().split("\n")[0][:300] or type(error).__name__
        raise ValueError(
            f"no Ray cluster to be had at RAY_ADDRESS={address}: {reason}; start one with `ray "
            "start --head`, or unset RAY_ADDRESS to use this machine alone"
        ) from None


def _knock(address: str) -> None:
    """Find out quickly whether anybody listens: Ray itself takes minutes to give up."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_KNOCK_S).close()
    except OSError as error:
        raise ConnectionError(f"nobody listens there ({error})") from None


def _runtime_environment() -> dict[str, Any]:
    """Sources and variables for workers on other nodes; secrets stay out, nodes have their own.

    What the job brings already is left alone: Ray refuses to be told twice.
    """
    job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR") or "{}").get("runtime_env", {})
    known = job.get("env_vars", {})
    environment: dict[str, Any] = {
        "env_vars": {name: os.environ[name] for name in ENVIRONMENT if name not in known}
    }
    if "working_dir" not in job:
        check_size(ROOT)
        environment["working_dir"] = str(ROOT)
    return environment


def _check_resources(needs: Needs, *, patience_s: float) -> None:
    """Wait for nodes that are on their way, then refuse what can never be scheduled."""
    import ray

    deadline = time.monotonic() + patience_s
    while True:
        have = ray.cluster_resources()
        rows = (("CPUs", needs.cpus, have.get("CPU", 0)), ("GPUs", needs.gpus, have.get("GPU", 0)))
        missing = [row for row in rows if row[1] > row[2]]
        if not missing:
            return
        if time.monotonic() >= deadline:
            raise ValueError(_too_small("the Ray cluster", *missing[0]))
        time.sleep(1.0)


def _patience(address: str) -> float:
    """Seconds to wait for nodes of a cluster that starts them on demand."""
    return float(os.environ.get(_WAIT_VARIABLE, "0")) if address else 0.0


def _too_small(where: str, what: str, needed: float, have: float) -> str:
    return (
        f"{needed:g} {what} are needed, {where} has {have:g}; change cluster.num_workers, "
        "cluster.cpus_per_worker or cluster.use_gpu"
    )
