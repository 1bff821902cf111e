"""What tests may do to the real services that infra/services/services.sh has started."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "infra/services/services.sh"
FOLDER = Path(os.environ.get("MILA_SERVICES", "/tmp/mila-services"))
RESULTS = Path(os.environ.get("MILA_FAULTS", ROOT / "reports/faults.json"))
REQUIRED = "MILA_SERVICES_REQUIRED"


class Services:
    """The services of one state file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        lines = (folder / "environment").read_text().splitlines()
        self.environment = dict(line.split("=", 1) for line in lines)

    @property
    def state(self) -> dict[str, Any]:
        """Processes, ports and addresses as they are now."""
        return json.loads((self.folder / "state.json").read_text())

    def value(self, key: str) -> str:
        """An address or a name, e.g. `address.a` or `namespace.b`."""
        return str(self.state["values"][key])

    def secrets(self) -> list[str]:
        """Every secret value: what must be seen nowhere."""
        password = (self.folder / "secrets/pgpass").read_text().strip().rpartition(":")[2]
        token = (self.folder / "secrets/ray_token").read_text().strip()
        return [self.environment["AWS_SECRET_ACCESS_KEY"], password, token]

    def up(self, only: str) -> None:
        """Start what does not run."""
        self._call("up", f"only={only}")

    def down(self, only: str) -> None:
        """End it in an orderly way; data stays."""
        self._call("down", f"only={only}")

    def kill(self, name: str) -> list[int]:
        """SIGKILL a process and its session, e.g. `radosgw` or `mlflow`; the ids."""
        return kill_all(lambda: self.pids_of(name))

    def pids_of(self, name: str) -> list[int]:
        """A process and its session, e.g. `radosgw` or `mlflow`."""
        return _words("pgrep", "-s", str(self.state["processes"][name]["pid"]))

    @contextlib.contextmanager
    def frozen(self, name: str) -> Iterator[list[int]]:
        """Stop a process and its session for a block: it takes connections and says nothing."""
        pids = self.pids_of(name)
        assert pids
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield pids
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def kill_host(self, host: str) -> list[int]:
        """SIGKILL everything that runs on a host of the Ray cluster; the ids."""
        return kill_all(lambda: self.pids_on(host))

    def pids_on(self, host: str) -> list[int]:
        """Everything that runs on a host of the Ray cluster."""
        return _words("ip", "netns", "pids", self.value(f"namespace.{host}"))

    def workers_on(self, host: str) -> list[int]:
        """Processes of Ray Train's workers on a host."""
        return [pid for pid in self.pids_on(host) if "RayTrainWorker" in _title(pid)]

    def give_notice(self, node: str, seconds: int) -> None:
        """Tell Ray, as a provider's machine does, that a node will be taken away."""
        words = ("--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "taken away")
        command = [
            *(str(Path(sys.executable).with_name("ray")), "drain-node", *words),
            *("--address", f"{self.value('address.a')}:6379", "--node-id", node),
            *("--deadline-remaining-seconds", str(seconds)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    def ray_node(self, host: str) -> str:
        """Ray's id of the node on a host, as soon as it is alive."""
        token = (self.folder / "secrets/ray_token").read_text().strip()
        url = f"{self.environment['RAY_API_SERVER_ADDRESS']}/api/v0/nodes"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
        deadline = time.monotonic() + 60
        while True:
            with urllib.request.urlopen(request, timeout=20) as answer:
                nodes = json.load(answer)["data"]["result"]["result"]
            here = [node for node in nodes if node["node_ip"] == self.value(f"address.{host}")]
            alive = [str(node["node_id"]) for node in here if node["state"] == "ALIVE"]
            if len(alive) == 1:
                return alive[0]
            assert time.monotonic() < deadline, nodes
            time.sleep(0.5)

    def link(self, host: str, state: str) -> None:
        """Set the cable of a host `up` or `down`."""
        subprocess.run(["ip", "link", "set", self.value(f"link.{host}"), state], check=True)

    @contextlib.contextmanager
    def full_disk(self, host: str) -> Iterator[None]:
        """Leave no byte on the scratch disk (TMPDIR) of a host for a block."""
        scratch = self.folder / f"r{host}/scratch"
        # A host has mounts of its own, as `ip netns exec` made them.
        pid = str(self.state["processes"][f"ray-{host}"]["pid"])
        there = ["nsenter", "--target", pid, "--mount"]
        disk = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(scratch)]
        subprocess.run([*there, *disk], check=True, timeout=20)
        try:
            fill = f"head -c 1000000 /dev/zero >{scratch}/filling"
            done = subprocess.run([*there, "sh", "-c", fill], capture_output=True, timeout=20)
            assert b"No space left" in done.stderr, done.stderr
            yield
        finally:
            subprocess.run([*there, "umount", "-l", str(scratch)], check=True, timeout=20)

    def radosgw_admin(self, *words: str) -> str:
        """Ask Ceph's own tool."""
        command = ["radosgw-admin", "-c", str(self.folder / "ceph/ceph.conf"), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _call(self, verb: str, word: str) -> None:
        command = ["bash", str(SCRIPT), verb, word]
        environment = {**os.environ, "MILA_SERVICES": str(self.folder)}
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr


def kill_all(pids: Callable[[], list[int]]) -> list[int]:
    """SIGKILL what a function lists until it lists nothing; the first list."""
    first = pids()
    deadline = time.monotonic() + 60
    while left := pids():
        assert time.monotonic() < deadline, f"these processes do not end: {left}"
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)
    return first


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _words(*command: str) -> list[int]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    return [int(word) for word in done.stdout.split()]


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """The running services; clients of this process reach them as well."""
    if not (FOLDER / "environment").exists():
        message = f"no services in {FOLDER}; runs in `make services-test` (Debian, root)"
        if os.environ.get(REQUIRED):
            pytest.fail(message)
        pytest.skip(message)
    found = Services(FOLDER)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in found.environment.items():
            patch.setenv(name, value)
        yield found


@pytest.fixture(scope="session")
def street(services: Services, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data set of the smoke preset as shards on S3; its URL."""
    from mila.data.storage import open_storage

    folder = tmp_path_factory.mktemp("street")
    for verb, words in (
        ("synthesize", (f"out={folder}/raw",)),
        ("shard", (f"raw={folder}/raw", f"out={folder}/shards")),
    ):
        command = [sys.executable, "-m", f"pipeline.{verb}", "preset=smoke", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
        assert done.returncode == 0, done.stderr
    storage = open_storage("s3://shards/street")
    for path in sorted((folder / "shards").rglob("*")):
        if path.is_file():
            storage.put(path.relative_to(folder / "shards").as_posix(), path.read_bytes())
    return storage.url


@pytest.fixture(scope="session")
def note() -> Callable[..., None]:
    """Prints what was broken and what was found, and keeps it for docs/faults.md.

    `note(fault, killed=..., found=..., seconds={"fault to next commit": 4.2})`.
    """
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    )
    head = {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit.stdout.strip() or "unknown",
        "machine": _machine(),
    }

    def add(fault: str, *, killed: str, found: str, seconds: dict[str, float]) -> None:
        rounded = {name: round(value, 1) for name, value in seconds.items()}
        sys.stdout.write(f"\n{fault}\n  broken: {killed}\n  found:  {found}\n  {rounded}\n")
        _keep(head, fault, {"broken": killed, "found": found, "seconds": rounded})

    return add


def _keep(head: dict[str, str], fault: str, row: dict[str, Any]) -> None:
    """Add a row to the results; tests in other processes do the same."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        results = json.loads(text) if text else {**head, "faults": {}}
        results["faults"][fault] = row
        file.truncate(0)
        file.write(json.dumps(results, indent=1) + "\n")


def _machine() -> str:
    """Cores, processor and load: a busy machine recovers later."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores of {names[0] if names else 'unknown make'} (load {load:.1f})"
