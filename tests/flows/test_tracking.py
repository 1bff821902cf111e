"""MLflow: one run per identity, every committed step once, a service that is away stops nothing."""

import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.journal import Journal
from flows.tracked_run import NullRun, points_of
from flows.tracking import MlflowRun, start_run
from flows.tracking_address import shown, tracking_uri
from mila.config import TrackingSettings
from mila.data.storage import open_storage

SETTINGS = TrackingSettings(experiment="tests", registered_model="tiny")
TAGS = {"run.identity": "abc", "git.commit": "123"}


def report(update: int, **changes: Any) -> dict[str, Any]:
    return {
        "stage": "slow",
        "total_update": update,
        "metrics": {"loss": 0.5, "val/depth/abs_rel": 0.1},
        "series": {"loss": [1.0 / update, 2.0 / update]},
        "clips_per_second": 3.0,
        "wait_share": 0.25,
        **changes,
    }


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal(open_storage(tmp_path / "run"))
    for update in (2, 4, 6):
        made.append(report(update), checkpoint="x", attempt=1)
    return made


def client(uri: str) -> Any:
    import mlflow

    return mlflow.MlflowClient(uri)


def history(run: Any, key: str) -> list[tuple[int, float]]:
    points = client(run.uri).get_metric_history(run.run_id, key)
    return sorted((point.step, point.value) for point in points)


def test_points_of_a_record_stand_at_their_own_updates(journal: Journal) -> None:
    assert points_of(journal.read(2)) == {
        "slow/train/loss": [(3, 0.25), (4, 0.5)],
        "slow/val/depth/abs_rel": [(4, 0.1)],
        "speed/clips_per_second": [(4, 3.0)],
        "speed/wait_share": [(4, 0.25)],
    }


def test_a_run_has_params_tags_metrics_and_status(mlflow_uri: str, journal: Journal) -> None:
    params = {"train.seed": 0, "model.tasks": ["semseg", "depth"]}
    with start_run("train", "one", params=params, tags=TAGS, settings=SETTINGS) as run:
        assert client(mlflow_uri).get_run(run.run_id).info.status == "RUNNING"
        assert run.send(journal)

    stored = client(mlflow_uri).get_run(run.run_id)
    assert stored.info.status == "FINISHED"
    assert stored.info.run_name == "one"
    assert stored.data.params == {"train.seed": "0", "model.tasks": "['semseg', 'depth']"}
    assert stored.data.tags["git.commit"] == "123"
    assert [step for step, _ in history(run, "slow/train/loss")] == [1, 2, 3, 4, 5, 6]


def test_the_same_run_is_gone_on_with_and_every_step_is_there_once(
    mlflow_uri: str, journal: Journal
) -> None:
    def visit() -> Any:
        with start_run("train", "one", params={"a": 1}, tags=TAGS, settings=SETTINGS) as run:
            assert run.send(journal)
        return run

    first = visit()
    journal.append(report(8), checkpoint="x", attempt=2)
    # As if the sender had been killed between the points and its note of them.
    first.tags({"journal": "1"})
    second = visit()

    assert second.run_id == first.run_id
    assert [step for step, _ in history(second, "slow/train/loss")] == list(range(1, 9))
    assert [step for step, _ in history(second, "slow/val/depth/abs_rel")] == [2, 4, 6, 8]
    with start_run(
        "train", "one", params={}, tags={"run.identity": "other"}, settings=SETTINGS
    ) as other:
        assert other.run_id != first.run_id


def test_not_a_number_and_large_records_are_kept(mlflow_uri: str, tmp_path: Path) -> None:
    journal = Journal(open_storage(tmp_path / "large"))
    values = [float("nan"), *map(float, range(1499))]
    journal.append(report(1500, series={"loss": values}), checkpoint="x", attempt=1)

    with start_run("train", "large", params={}, tags=TAGS, settings=SETTINGS) as run:
        assert run.send(journal)
        assert run.send(journal)

    assert len(history(run, "slow/train/loss")) == 1500


def test_an_exception_marks_the_run_as_failed(mlflow_uri: str) -> None:
    with (
        pytest.raises(ValueError, match="boom"),
        start_run("train", "bad", params={}, tags=TAGS, settings=SETTINGS) as run,
    ):
        raise ValueError("boom")

    assert client(mlflow_uri).get_run(run.run_id).info.status == "FAILED"


def test_children_belong_to_their_parent(mlflow_uri: str) -> None:
    words = {"params": {}, "tags": TAGS, "settings": SETTINGS}
    with start_run("sweep", "grid", **words) as parent:
        with start_run("trial", "k3", **words, parent=parent.run_id) as one:
            pass
        with start_run("trial", "k3", **words, parent=parent.run_id) as again:
            pass

    assert one.run_id == again.run_id
    assert one.tag("mlflow.parentRunId") == parent.run_id


def test_files_figures_images_and_numbers_are_kept(mlflow_uri: str, tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    (tmp_path / "page.html").write_text("<p>")
    with start_run("evaluate", "e", params={}, tags=TAGS, settings=SETTINGS) as run:
        run.file(tmp_path / "page.html", "report")
        run.figure(Figure(), "curves.png")
        run.image(np.zeros((4, 6, 3), np.uint8), "panels/first.png")
        run.metrics({"final/mean_iou": 0.5}, step=7)

    stored = client(mlflow_uri)
    assert {f.path for f in stored.list_artifacts(run.run_id)} == {"curves.png", "panels", "report"}
    assert history(run, "final/mean_iou") == [(7, 0.5)]


def test_the_exported_model_is_registered_with_signature_and_answers(
    mlflow_uri: str, exported_model: Path
) -> None:
    import mlflow

    frames = np.random.default_rng(0).integers(0, 255, (2, 32, 64, 3), dtype=np.uint8)

    with start_run("train", "m", params={}, tags=TAGS, settings=SETTINGS) as run:
        run.model(exported_model, frames)

    mlflow.set_tracking_uri(mlflow_uri)
    loaded = mlflow.pyfunc.load_model("models:/tiny@candidate")
    answer = loaded.predict(np.repeat(frames, 2, axis=0), params={"keyframe_interval": 3})
    assert answer["depth"].shape == (4, 32, 64)
    assert {spec.name for spec in loaded.metadata.signature.outputs} == {"semseg", "depth"}
    assert client(mlflow_uri).get_run(run.run_id).info.status == "FINISHED"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_service_that_is_away_only_warns(
    monkeypatch: pytest.MonkeyPatch, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@127.0.0.1:{free_port()}")
    began = time.monotonic()

    with start_run("train", "one", params={}, tags=TAGS, settings=SETTINGS) as run:
        run.metrics({"a": 1.0})

    assert isinstance(run, NullRun)
    assert "not recorded for now" in caplog.text
    assert "secret" not in caplog.text
    assert time.monotonic() - began < 60


def test_what_a_dead_service_missed_is_sent_later_and_once(
    mlflow_uri: str, monkeypatch: pytest.MonkeyPatch, journal: Journal
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with start_run("train", "one", params={}, tags=TAGS, settings=SETTINGS) as run:
        dead = MlflowRun(f"http://127.0.0.1:{free_port()}", run.run_id, "")
        assert not dead.send(journal)
        assert run.send(journal)

    assert [step for step, _ in history(run, "slow/train/loss")] == [1, 2, 3, 4, 5, 6]


def test_tracking_can_be_switched_off() -> None:
    settings = TrackingSettings(enabled=False)
    with start_run("train", "one", params={}, tags=TAGS, settings=settings) as run:
        assert run.run_id == ""


def test_addresses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri(tmp_path) == f"sqlite:////{str(tmp_path.resolve())[1:]}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://10.0.0.1:5000")
    assert tracking_uri(tmp_path) == "http://10.0.0.1:5000"
    assert shown("postgresql+psycopg2://me:word@host/db") == "postgresql+psycopg2://host/db"
