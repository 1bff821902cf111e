"""Secrets are seen in no log, no parameter and no artifact of a run."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(
    params=[
        pytest.param("undisturbed", marks=pytest.mark.services),
        pytest.param("undisturbed_pair", marks=(pytest.mark.cluster, pytest.mark.pair)),
    ]
)
def training(request):
    """A finished training of one process, and of workers on two hosts."""
    return request.getfixturevalue(request.param)


def test_logs_of_services_and_trainings_hold_no_secret(services, training):
    places = [services.folder / name for name in ("log", "ra", "rb")]
    read = _files_with(b"", [*places, training.folder])
    assert len(read) > 50, "Ray alone writes dozens of logs"

    for secret in services.secrets():
        assert _files_with(secret.encode(), [*places, training.folder]) == []


def test_mlflow_holds_no_secret(services, training):
    """Rows of its database and every artifact, as bytes."""
    import boto3

    port = services.state["ports"]["postgres"]
    dump = subprocess.run(
        ["pg_dump", "-h", "127.0.0.1", "-p", str(port), "-U", "mila", "mlflow"],
        env={"PGPASSFILE": str(services.folder / "secrets/pgpass"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        timeout=60,
    )
    assert dump.returncode == 0, dump.stderr
    client = boto3.client("s3")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="mlflow")
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def read(key: str) -> bytes:
        return client.get_object(Bucket="mlflow", Key=key)["Body"].read()

    with ThreadPoolExecutor(8) as pool:
        kept = dict(zip(keys, pool.map(read, keys), strict=True))

    assert training.name.encode() in dump.stdout
    assert any(key.endswith("weights.pt") for key in kept)
    for secret in services.secrets():
        assert secret.encode() not in dump.stdout
        assert [key for key, data in kept.items() if secret.encode() in data] == []


def test_checkpoints_and_journal_hold_no_secret(services, training):
    entries = training.run.storage.list()
    assert len(entries) > 10
    for entry in entries:
        data = training.run.storage.read(entry.name)
        assert not [s for s in services.secrets() if s.encode() in data], entry.name


def _files_with(words: bytes, places) -> list[str]:
    paths = [p for place in places for p in place.rglob("*") if p.is_file() and not p.is_symlink()]
    return [str(path) for path in paths if words in (_read(path) or b"")]


def _read(path: Path) -> bytes | None:
    """What is in a file; None if Ray, which tidies up after its jobs, removed it meanwhile."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
