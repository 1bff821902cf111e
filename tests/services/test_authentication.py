"""Who has no token gets nothing, and nothing of ours listens to the world."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(200)]

ROOT = Path(__file__).resolve().parents[2]
METHODS = [
    f"/ray.rpc.{name}"
    for name in (
        "NodeInfoGcsService/GetAllNodeInfo",
        "NodeManagerService/GetNodeStats",
        "ObjectManagerService/Pull",
        "ReporterService/HealthCheck",
        "CoreWorkerService/GetCoreWorkerStats",
    )
]
"""One of each of Ray's services; a port that speaks gRPC has at least one of them."""
STEPS = ["train.slow.updates=1", "train.fast.updates=0", "train.joint.updates=0"]


KINDS = ("no token", "wrong token")


@pytest.fixture(params=KINDS)
def stranger(request, services, tmp_path) -> dict[str, str]:
    """Variables of somebody who may not."""
    return _variables(request.param, tmp_path)


def _variables(kind: str, folder: Path) -> dict[str, str]:
    environment = {**os.environ, "HOME": str(folder)}
    token = folder / "token"
    token.write_text("0" * 64 if kind == "wrong token" else "")
    token.chmod(0o600)
    environment["RAY_AUTH_TOKEN_PATH"] = str(token)
    if kind == "no token":
        del environment["RAY_AUTH_TOKEN_PATH"]
        environment["RAY_AUTH_MODE"] = "disabled"
    return environment


@pytest.fixture(scope="module")
def refused(services, street, tmp_path_factory) -> dict[str, subprocess.CompletedProcess[str]]:
    """Trainings of both kinds of stranger, at the same time."""
    head = f"{services.value('address.a')}:6379"

    def train(kind: str) -> subprocess.CompletedProcess[str]:
        folder = tmp_path_factory.mktemp("stranger")
        words = ["preset=smoke", f"data.root={street}", f"cluster.storage={folder}/runs", *STEPS]
        there = ["ip", "netns", "exec", services.value("namespace.a")]
        return subprocess.run(
            [*there, sys.executable, "flows/train.py", *words],
            cwd=ROOT,
            env={**_variables(kind, folder), "RAY_ADDRESS": head},
            capture_output=True,
            text=True,
            timeout=180,
        )

    with ThreadPoolExecutor(len(KINDS)) as pool:
        return dict(zip(KINDS, pool.map(train, KINDS), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_refused_with_a_sentence(refused, note, kind):
    done = refused[kind]

    assert done.returncode == 2, done.stdout + done.stderr
    assert "no Ray cluster to be had at RAY_ADDRESS" in done.stderr
    assert "Traceback" not in done.stderr
    note(f"{kind} at the cluster", killed="nothing", found="exit 2 and a sentence", seconds={})


def test_job_server_refuses(services, stranger):
    done = subprocess.run(
        ["bash", "infra/ray/submit.sh", "true"],
        cwd=ROOT,
        env=stranger,
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert done.returncode != 0
    assert "401" in done.stdout + done.stderr or "uthentic" in done.stdout + done.stderr


@pytest.mark.parametrize("path", ["api/jobs/", "api/version", "nodes?view=summary", "api/actors"])
@pytest.mark.parametrize("token", ["", "Bearer " + "0" * 64])
def test_every_answer_needs_the_token(services, path, token):
    url = f"http://{services.value('address.a')}:8265/{path}"
    request = urllib.request.Request(url, headers={"Authorization": token} if token else {})

    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)

    assert caught.value.code in (401, 403)


def test_nothing_listens_on_all_addresses_of_this_machine(services):
    ours = set()
    for process in services.state["processes"].values():
        done = subprocess.run(["pgrep", "-s", str(process["pid"])], capture_output=True, text=True)
        ours |= set(done.stdout.split())
    listeners = _listeners([])
    bad = [line for line in listeners if _is_open(line) and any(f"pid={p}," in line for p in ours)]

    assert any(any(f"pid={p}," in line for p in ours) for line in listeners), "we look in vain"
    assert bad == []


@pytest.mark.parametrize("host", ["a", "b"])
def test_open_ports_of_a_host_want_the_token(services, host):
    """All but Ray's metrics pages, which tell numbers to who reaches the host, and no secret."""
    lines = _listeners(["ip", "netns", "exec", services.value(f"namespace.{host}")])
    ports = {line.split()[3].rpartition(":")[2] for line in lines if _is_open(line)}
    refused = 0

    for port in sorted(ports):
        place = f"{services.value(f'address.{host}')}:{port}"
        page = _ask(f"http://{place}/metrics")
        if b"# HELP" in page:
            assert not [secret for secret in services.secrets() if secret.encode() in page]
            continue
        for token in ("", "0" * 64):
            answers = {_call(place, method, token) for method in METHODS}
            assert answers == {"UNAUTHENTICATED", "UNIMPLEMENTED"}, f"{place}: {lines}"
        refused += 1

    assert refused >= 3, "a host has at least two ports of its raylet and one of its agent"


def test_secrets_have_mode_600(services):
    files = [services.folder / "environment", *(services.folder / "secrets").iterdir()]

    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}


def _listeners(prefix: list[str]) -> list[str]:
    command = [*prefix, "ss", "-Hltnp"]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=20, check=True
    ).stdout.splitlines()


def _is_open(line: str) -> bool:
    return line.split()[3].rpartition(":")[0] in ("0.0.0.0", "*", "[::]")


def _ask(url: str) -> bytes:
    """What a stranger is told; nothing where he is refused or no HTTP is spoken."""
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:
            return answer.read()
    except (OSError, ValueError, urllib.error.HTTPError):
        return b""
    except Exception as error:  # noqa: BLE001 - gRPC speaks no HTTP; http.client has many words for it
        return str(error).encode()


def _call(place: str, method: str, token: str) -> str:
    """The status with which a gRPC server answers an empty message."""
    with grpc.insecure_channel(place) as channel:
        words = [("authorization", f"Bearer {token}")] if token else None
        try:
            channel.unary_unary(method)(b"", timeout=10, metadata=words)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"
