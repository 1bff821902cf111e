"""Shared by the tests of flows/: storages, an S3 in a thread, tiny shards and settings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from mila.data.sample import ClipArrays, encode_clip
from mila.data.shards import clip_tar, pack_clip, write_shards
from mila.data.storage import S3Options, Storage, open_storage

TINY = {
    "model": {
        "channels": 16,
        "head_channels": 8,
        "feature_stride": 8,
        "slow": {"widths": [16, 16, 16, 16], "depths": [0, 1, 1, 1]},
        "fast": {"widths": [16, 16, 16, 16], "depths": [0, 0, 0, 0], "smooth": False},
        "fusion": {"width": 16},
        "propagation": {"radius": 2, "key_channels": 4},
    },
    "train": {
        "report_every": 2,
        "precision": "float32",
        "slow": {"updates": 4, "batch_size": 4},
        "fast": {"updates": 2, "batch_size": 4},
        "joint": {"updates": 2, "batch_size": 4},
        "max_offset": 3,
    },
    "cluster": {"num_workers": 0, "cpus_per_worker": 1},
    "evaluation": {"keyframe_interval": 2, "intervals": [1, 2]},
    "tracking": {"enabled": False},
}
"""Settings under which a whole training takes a second: slow 4, fast 2, joint 2, fast again 2."""


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One home for all tests: Ray keeps a token there, and a process reads it only once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of 16 clips of noise, 4 frames of 32 x 64 pixels, with classes and depth."""
    folder = tmp_path_factory.mktemp("shards")
    keys = [f"test-{i}" for i in range(2)] + [f"train-{i:02d}" for i in range(12)]
    keys += [f"val-{i}" for i in range(2)]
    clips = [pack_clip(clip_tar(key, encode_clip(_noise(key)))) for key in keys]
    write_shards(folder, clips)
    return folder


@pytest.fixture
def tiny_words(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Words for a verb that make it tiny; the working folder is empty, results lie below it."""
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(TINY))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    for name in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI", "MILA_HOME"):
        monkeypatch.delenv(name, raising=False)
    return [f"params={file}", f"data.root={tiny_data}"]


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow sqlite file: its tables take seconds to make, so once is enough."""
    import mlflow

    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def mlflow_uri(mlflow_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh tracking store that MLFLOW_TRACKING_URI names."""
    file = shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}")
    return f"sqlite:///{file}"


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


@pytest.fixture
def wait_for() -> Callable[..., None]:
    """Waits for a condition, `wait_for(lambda: ..., timeout_s=30)`; fails when it takes longer."""
    return _wait_for


def _wait_for(condition: Callable[[], object], *, timeout_s: float = 30.0) -> None:
    import time

    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"nothing happened within {timeout_s:g} s"
        time.sleep(0.05)


def _noise(key: str) -> ClipArrays:
    random = np.random.default_rng(sum(key.encode()))
    shape = (4, 32, 64)
    return ClipArrays(
        key=key,
        video=f"video-{key}",
        split=key.split("-")[0],
        fps=17.0,
        start=0,
        images=random.integers(0, 255, (*shape, 3), dtype=np.uint8),
        semseg=random.integers(0, 19, shape, dtype=np.uint8),
        depth=random.uniform(1, 50, shape).astype(np.float32),
    )
