"""`ray job submit` in its three forms against a real head with token authentication."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

from mila.identity import ROOT
from tests.flows.conftest import TINY

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

RAY = Path(sys.executable).with_name("ray")


@dataclass(frozen=True)
class Head:
    """A running head node.

    Attributes:
        project: Copy of the sources, with data and tiny settings; the head was started there.
        url: Of the job server.
        environment: Variables of a user who has the token.
    """

    project: Path
    url: str
    environment: dict[str, str]

    def submit(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`ray job submit ...` from the project's folder."""
        command = [str(RAY), "job", "submit", *words]
        environment = {**self.environment, "RAY_API_SERVER_ADDRESS": self.url}
        return subprocess.run(
            command, cwd=self.project, env=environment, text=True, capture_output=True, timeout=240
        )


@pytest.fixture(scope="module")
def head(
    tmp_path_factory: pytest.TempPathFactory, tiny_data: Path, wait_for_module: Callable[..., None]
) -> Iterator[Head]:
    folder = tmp_path_factory.mktemp("ray")
    project = folder / "project"
    _copy_project(project, tiny_data)
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    ports = _free_ports(6)
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "MLFLOW_", "MILA_"))},
        "HOME": str(folder),
        "PATH": f"{RAY.parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    }
    # Unix sockets lie below the temporary folder, and their names must stay short.
    short = Path("/tmp") / f"r{os.getpid()}"
    command = [
        RAY, "start", "--head", "--block", "--disable-usage-stats", "--num-cpus", "2",
        "--object-store-memory", "200000000", "--temp-dir", short, "--dashboard-host", "127.0.0.1",
        "--port", ports[0], "--dashboard-port", ports[1], "--ray-client-server-port", ports[2],
        "--dashboard-agent-listen-port", ports[3], "--dashboard-agent-grpc-port", ports[4],
        "--metrics-export-port", ports[5],
    ]  # fmt: skip
    with (folder / "head.log").open("w") as log:
        process = subprocess.Popen(
            list(map(str, command)), cwd=project, env=environment, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{ports[1]}"
    try:
        wait_for_module(lambda: _answers(process, url, token.read_text()), timeout_s=120)
        yield Head(project, url, environment)
    finally:
        _end(process)
        shutil.rmtree(short, ignore_errors=True)


@pytest.fixture(scope="module")
def wait_for_module() -> Callable[..., None]:
    import time

    def wait(condition: Callable[[], object], *, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"nothing happened within {timeout_s:g} s"
            time.sleep(0.3)

    return wait


def _copy_project(project: Path, data: Path) -> None:
    for name in ("flows", "mila"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".gitignore", ".rayignore"):
        shutil.copy(ROOT / name, project / name)
    shutil.copytree(data, project / "data" / "street")
    (project / "params").mkdir()
    cluster = {**TINY["cluster"], "num_workers": 1}
    (project / "params.yaml").write_text(yaml.safe_dump({**TINY, "cluster": cluster}))


def _free_ports(number: int) -> list[int]:
    """Ports of the kernel, outside the range that Ray keeps for its workers."""
    probes, ports = [], []
    while len(ports) < number:
        probe = socket.socket()
        probe.bind(("127.0.0.1", 0))
        probes.append(probe)
        port = probe.getsockname()[1]
        if not 10002 <= port <= 19999:
            ports.append(port)
    for probe in probes:
        probe.close()
    return ports


def _answers(process: subprocess.Popen[bytes], url: str, token: str) -> bool:
    assert process.poll() is None, "the head ended while it was starting"
    try:
        _ask(url, token)
    except (urllib.error.URLError, ConnectionError):
        return False
    return True


def _ask(url: str, token: str) -> None:
    request = urllib.request.Request(f"{url}/api/version")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    urllib.request.urlopen(request, timeout=5).close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the head and everything it started."""
    family = [psutil.Process(process.pid)]
    family += family[0].children(recursive=True)
    for member in family:
        try:
            member.terminate()
        except psutil.NoSuchProcess:
            continue
    for member in psutil.wait_procs(family, timeout=10)[1]:
        member.kill()
    process.wait(10)


def results(head: Head) -> dict[str, object]:
    page: dict[str, object] = json.loads((head.project / "reports" / "train.json").read_text())
    return page


def test_the_bare_command_with_words_trains(head: Head) -> None:
    done = head.submit("flows/train.py", "name=words", "train.slow.updates=6")

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert results(head)["run"] == "words"
    assert results(head)["updates"] == 12
    assert (head.project / "models" / "mila" / "weights.pt").is_file()
    assert "[100 %]" in done.stdout


def test_bad_words_end_the_job_in_failure(head: Head) -> None:
    done = head.submit("flows/train.py", "train.sed=1")

    assert done.returncode != 0
    assert "did you mean train.seed?" in done.stdout
    assert "exit code 2" in done.stdout


def test_without_the_token_nobody_gets_in(head: Head) -> None:
    for token in ("", "wrong" * 8):
        with pytest.raises(urllib.error.HTTPError) as refused:
            _ask(head.url, token)
        assert refused.value.code in (401, 403)


def test_the_bare_command_alone_trains(head: Head) -> None:
    done = head.submit("flows/train.py")

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert str(results(head)["run"]).startswith("train-")


def test_a_shipped_working_folder_trains_and_results_outlive_the_job(head: Head) -> None:
    done = head.submit("--working-dir", ".", "--", "python", "flows/train.py", "name=shipped")

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert results(head)["run"] == "shipped"
    assert (head.project / "runs" / "shipped" / "outcome.json").is_file()
