"""Shared by the tests of flows/: storages, a tiny state that learns, and an S3 in a thread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mila.data.storage import S3Options, Storage, open_storage


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A moto server on a free port; it checks neither keys nor digests."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_environment(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Variables under which every client reaches the moto server; gives an empty bucket's URL."""
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testkey")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testsecret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    bucket = f"bucket-{os.urandom(4).hex()}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    return f"s3://{bucket}"


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """The storage of a run: a folder, then a prefix of a bucket."""
    if request.param == "local":
        return open_storage(tmp_path / "run")
    url = request.getfixturevalue("s3_environment")
    return open_storage(f"{url}/runs/one", S3Options(patience_s=2.0))


@pytest.fixture(scope="session")
def exported_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with random weights, exported to a folder."""
    import torch

    from mila.config import EncoderSettings, ModelSettings, PropagationSettings
    from mila.export import export_model
    from mila.model import build_model

    torch.manual_seed(0)
    small = EncoderSettings(widths=(16, 16, 16, 16), depths=(0, 1, 1, 1))
    settings = ModelSettings(
        channels=16,
        head_channels=8,
        feature_stride=8,
        slow=small,
        fast=small,
        propagation=PropagationSettings(radius=2, key_channels=4),
    )
    folder = tmp_path_factory.mktemp("exported") / "mila"
    export_model(build_model(settings), folder, origin={"run": "tiny"})
    return folder
