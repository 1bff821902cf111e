"""MLflow: one run per training, sweep, trial and evaluation. The only importer of mlflow.

Nothing here stops a run: where MLflow is away or refuses, a warning says so, and the journal keeps
what was not sent. A record sent twice is there once: MLflow keeps points of equal time once.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from flows.cluster import base_folder
from flows.journal import Journal, Record
from flows.time_limit import within
from flows.tracked_run import NullRun, Pixels, TrackedRun, points_of
from flows.tracking_address import artifact_root, one_at_a_time, shown, tracking_uri
from mila.config import TrackingSettings
from mila.identity import ROOT

_LOG = logging.getLogger(__name__)
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
_POINTS = 1000  # MLflow's limit for one batch
_START_S = 90.0  # a new sqlite file takes 6 to 20 s to set up
_SENT = "journal"
_MODEL_NEEDS = ("torch", "numpy", "pydantic", "PyYAML", "opencv-python-headless")

T = TypeVar("T")


@contextlib.contextmanager
def start_run(
    kind: str,
    name: str,
    *,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    settings: TrackingSettings,
    parent: str = "",
) -> Iterator[TrackedRun]:
    """Record a block of work; a run of the same kind, name and identity is gone on with.

    Args:
        kind: train, sweep, trial or evaluate.
        name: Name of the run.
        params: Flat settings; they cannot change when the run is gone on with.
        tags: See `flows.provenance`; `run.identity` tells runs of one name apart.
        settings: Experiment and registry.
        parent: Id of the run this one belongs to.
    """
    uri = tracking_uri(base_folder())
    run: TrackedRun = NullRun()
    if settings.enabled:
        marks = {**tags, "run.kind": kind, "run.name": name}
        if parent:
            marks["mlflow.parentRunId"] = parent
        try:
            run = within(_START_S, lambda: _open(uri, name, params, marks, settings))
        except _trouble() as error:
            _LOG.warning("%s: %s; this run is not recorded for now", shown(uri), _reason(error))
    status = "FAILED"
    try:
        yield run
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        if isinstance(run, MlflowRun):
            run.end(status)


class MlflowRun:
    """A run in MLflow; can be pickled to another process and goes on there."""

    def __init__(self, uri: str, run_id: str, registered_model: str) -> None:
        """Refer to an existing run."""
        self.uri = uri
        self.run_id = run_id
        self._registered_model = registered_model

    def send(self, journal: Journal) -> bool:
        """Send the records not yet sent, in order; whether all are there now."""
        return self._try("send the journal", lambda: self._send(journal)) is not None

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Record numbers."""

        def call() -> None:
            for key, value in values.items():
                _client(self.uri).log_metric(self.run_id, key, float(value), step=step)

        self._try("record metrics", call)

    def tags(self, tags: Mapping[str, str]) -> None:
        """Set or replace tags."""

        def call() -> None:
            for key, value in tags.items():
                _client(self.uri).set_tag(self.run_id, key, value)

        self._try("set tags", call)

    def tag(self, name: str) -> str:
        """The value of a tag; empty if it is not set or not known."""
        run = self._try(f"read tag {name}", lambda: _client(self.uri).get_run(self.run_id))
        return str(run.data.tags.get(name, "")) if run else ""

    def file(self, path: Path, folder: str = "") -> None:
        """Keep a file, or all files of a folder, as artifacts."""

        def call() -> None:
            client = _client(self.uri)
            log = client.log_artifacts if path.is_dir() else client.log_artifact
            log(self.run_id, str(path), folder or None)

        self._try(f"keep {path.name}", call)

    def figure(self, figure: Any, name: str) -> None:
        """Keep a matplotlib figure."""
        self._try(f"keep {name}", lambda: _client(self.uri).log_figure(self.run_id, figure, name))

    def image(self, pixels: Pixels, name: str) -> None:
        """Keep an RGB image."""
        self._try(f"keep {name}", lambda: _client(self.uri).log_image(self.run_id, pixels, name))

    def model(self, exported: Path, example: Pixels) -> None:
        """Keep and register an exported model; its alias is `candidate`."""

        def call() -> None:
            uri = _log_model(self.uri, self.run_id, exported, example)
            if self._registered_model:
                _register(_client(self.uri), self._registered_model, uri, self.run_id)

        self._try("register the model", call)

    def end(self, status: str) -> None:
        """Set the final status."""
        self._try("end the run", lambda: _client(self.uri).set_terminated(self.run_id, status))

    def _send(self, journal: Journal) -> bool:
        client = _client(self.uri)
        for record in journal.since(int(client.get_run(self.run_id).data.tags.get(_SENT, 0))):
            points = _points(record)
            for first in range(0, len(points), _POINTS):
                client.log_batch(self.run_id, metrics=points[first : first + _POINTS])
            client.set_tag(self.run_id, _SENT, str(record.number))
        return True

    def _try(self, what: str, call: Callable[[], T]) -> T | None:
        try:
            return call()
        except _trouble() as error:
            _LOG.warning("%s: cannot %s: %s", shown(self.uri), what, _reason(error))
            return None


def _points(record: Record) -> list[Any]:
    from mlflow.entities import Metric

    return [
        Metric(name, value, int(record.time * 1000), step)
        for name, values in points_of(record).items()
        for step, value in values
    ]


def _open(
    uri: str,
    name: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    settings: TrackingSettings,
) -> MlflowRun:
    """Find the run with these marks, or make it; its schema and experiment first of all."""
    from mlflow.entities import Param

    with one_at_a_time(uri):
        client = _client(uri)
        experiment = _experiment(client, uri, settings.experiment)
        marks = ("run.kind", "run.name", "run.identity", "mlflow.parentRunId")
        query = " and ".join(f"tags.`{key}` = '{tags[key]}'" for key in marks if key in tags)
        found = client.search_runs([experiment], query, max_results=1)
        if found:
            run_id = found[0].info.run_id
            client.update_run(run_id, status="RUNNING")
        else:
            run_id = client.create_run(experiment, run_name=name).info.run_id
    for key, value in tags.items():
        client.set_tag(run_id, key, value)
    rows = [Param(key, str(value)) for key, value in params.items()]
    for first in range(0, len(rows), 100):
        client.log_batch(run_id, params=rows[first : first + 100])
    return MlflowRun(uri, run_id, settings.registered_model)


def _experiment(client: Any, uri: str, name: str) -> str:
    from mlflow.exceptions import MlflowException

    known = client.get_experiment_by_name(name)
    if known is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifact_root(uri)))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            known = client.get_experiment_by_name(name)
    return str(known.experiment_id)


def _log_model(uri: str, run_id: str, exported: Path, example: Pixels) -> str:
    """Keep a model that answers clips as artifact of the run; where it is then."""
    import mlflow
    from mlflow.models import infer_signature
    from mlflow.pyfunc.model import PythonModel

    from mila.answers import answer_clip
    from mila.export import load_exported

    answer = answer_clip(load_exported(exported), example, 5)
    mlflow.set_tracking_uri(uri)

    class ClipModel(PythonModel):
        """Frames (T, H, W, 3) in, one array per task out."""

        def load_context(self, context: Any) -> None:
            """Read the exported folder."""
            self.model = load_exported(context.artifacts["exported"])

        def predict(self, context: Any, model_input: np.ndarray, params: Any = None) -> Any:
            """Answer consecutive frames."""
            interval = int((params or {}).get("keyframe_interval", 5))
            return answer_clip(self.model, np.asarray(model_input), interval)

    with mlflow.start_run(run_id=run_id):
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=ClipModel(),
            artifacts={"exported": str(exported)},
            code_paths=[str(ROOT / "mila")],
            signature=infer_signature(example, answer, params={"keyframe_interval": 5}),
            input_example=(example, {"keyframe_interval": 5}),
            pip_requirements=[f"{name}=={_release(name)}" for name in _MODEL_NEEDS],
        )
    return str(logged.model_uri)


def _register(client: Any, name: str, source: str, run_id: str) -> None:
    """Make a new version of a registered model; its alias is `candidate`."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(
        name, source, run_id=run_id, model_id=source.rpartition("/")[2]
    )
    client.set_registered_model_alias(name, "candidate", made.version)


def _client(uri: str) -> Any:
    """A client; MLflow keeps the connections themselves."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    return MlflowClient(uri)


def _trouble() -> tuple[type[Exception], ...]:
    """What a tracking service that is away, slow or unwilling ends in."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    return (MlflowException, RequestException, SQLAlchemyError, OSError)


def _reason(error: Exception) -> str:
    """The first line of an error, without passwords in addresses."""
    return shown(str(error).strip().split("\n")[0])[:300]


def _release(package: str) -> str:
    """The installed version without a local suffix such as `+cpu`."""
    return version(package).partition("+")[0]
