"""MLflow's page: what is refused, and that it answers."""

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.ui import main

VERB = Path(__file__).resolve().parents[2] / "flows" / "ui.py"


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MILA_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def test_a_port_in_use_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main([f"port={port}"]) == 2
    assert f"port={port} is in use: expected a free one" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["many", "70000", "-1"])
def test_what_is_no_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"port={port}"]) == 2
    assert "expected a number in 1..65535" in capsys.readouterr().err


def test_a_folder_without_runs_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["port=0"]) == 2
    assert "mlflow.db: no runs were recorded here" in capsys.readouterr().err


def test_the_page_answers(mlflow_uri: str, wait_for: Callable[..., None]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([sys.executable, VERB, f"port={port}"], start_new_session=True)
    try:
        wait_for(lambda: _answers(f"http://127.0.0.1:{port}/health"), timeout_s=60)
        assert b"<title>MLflow" in urllib.request.urlopen(f"http://127.0.0.1:{port}/").read()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(15)


def _answers(url: str) -> bool:
    try:
        return bool(urllib.request.urlopen(url, timeout=2).status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
