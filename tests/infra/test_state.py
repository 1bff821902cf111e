"""The state file: ports stay, and a process id that was given away is not ours any more."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "infra/services/state.py"


@pytest.fixture
def state(tmp_path: Path):
    def call(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "-S", str(SCRIPT), str(tmp_path / "state.json"), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=30)

    return call


def test_values_are_kept(state) -> None:
    assert state("get", "address").stdout == ""

    state("set", "address", "10.77.1.254")

    assert state("get", "address").stdout == "10.77.1.254"


def test_a_port_is_chosen_once(state) -> None:
    first = state("port", "s3", "127.0.0.1").stdout

    assert 1024 < int(first) < 65536
    assert state("port", "s3", "127.0.0.1").stdout == first
    assert state("port", "mlflow", "127.0.0.1").stdout != first


def test_a_process_is_alive_until_it_ends(state) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        state("record", "server", str(process.pid))
        assert state("alive", "server").stdout == str(process.pid)
        process.kill()

    assert state("alive", "server").returncode == 1
    assert state("alive", "nobody").returncode == 1


def test_a_reused_id_is_somebody_else(state, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        state("record", "server", str(process.pid))
        page = json.loads((tmp_path / "state.json").read_text())
        page["processes"]["server"]["started"] = "1"
        (tmp_path / "state.json").write_text(json.dumps(page))

        assert state("alive", "server").returncode == 1
        process.kill()
