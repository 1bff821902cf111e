"""The publish verb: the page reaches the run of its evaluation, or stays and says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.publish import main
from flows.tracking import start_run
from mila.config import TrackingSettings


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MILA_HOME", str(tmp_path))
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html>the page")
    (folder / "metrics.json").write_text(json.dumps({"mlflow_run_id": ""}))
    return folder


def test_the_page_is_kept_with_its_run(reports: Path, mlflow_uri: str) -> None:
    from mlflow import MlflowClient

    with start_run("evaluate", "one", params={}, tags={}, settings=TrackingSettings()) as run:
        (reports / "metrics.json").write_text(json.dumps({"mlflow_run_id": run.run_id}))

    assert main([]) == 0

    kept = [file.path for file in MlflowClient(mlflow_uri).list_artifacts(run.run_id)]
    assert kept == ["index.html"]


@pytest.mark.parametrize("words", [[], ["tracking.enabled=false"]])
def test_without_a_run_the_page_stays(
    reports: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    assert "was not recorded" in capsys.readouterr().out


def test_a_missing_page_is_named(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (reports / "index.html").unlink()

    assert main([]) == 2
    assert "index.html: no such file" in capsys.readouterr().err
