"""Shared by the tests of data: small shards and an S3 for units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mila.config import DataSettings
from mila.data.draws import FrameDraw
from mila.data.loader import ClipLoader, LoaderSettings
from mila.data.manifest import Manifest
from mila.data.sample import ClipArrays, encode_clip
from mila.data.shards import clip_tar, pack_clip, write_shards
from mila.data.source import open_source
from mila.data.transforms import Augmentation


@pytest.fixture
def clips(make_clip):
    keys = [*(f"train-{i}" for i in range(7)), "val-0", "val-1"]
    return {key: make_clip(key, frames=5, start=10) for key in keys}


@pytest.fixture
def shards(tmp_path, clips, make_shards):
    make_shards(tmp_path / "data", [clips[key] for key in sorted(clips)])
    return tmp_path / "data"


@pytest.fixture
def make_loader(shards):
    def make(**words) -> ClipLoader:
        source = open_source(DataSettings(root=str(shards)))
        values = {
            "split": "train",
            "draw": FrameDraw("offset", max_offset=3),
            "tasks": ("semseg", "depth", "normals"),
            "batch_size": 2,
            "seed": 3,
            "augmentation": Augmentation(crop=(12, 16), scale=(0.8, 1.5), flip=True, colour=0.3),
        }
        return ClipLoader(source.manifest, source.reader, LoaderSettings(**{**values, **words}))

    return make


@pytest.fixture
def six_clips(make_clip) -> list[ClipArrays]:
    keys = ["test-0", *(f"train-{i}" for i in range(4)), "val-0"]
    return [make_clip(key, frames=2) for key in keys]


@pytest.fixture
def manifest(tmp_path, six_clips, make_shards) -> Manifest:
    """Of the six clips, in several shards below `data`."""
    return make_shards(tmp_path / "data", six_clips, shard_bytes=30_000)


@pytest.fixture(scope="module")
def tiny_shards(tmp_path_factory) -> tuple[Path, Manifest]:
    """Shards for many examples; a function-scoped fixture would not be allowed with hypothesis."""
    folder = tmp_path_factory.mktemp("tiny")
    random = np.random.default_rng(0)
    packed = []
    for key in ("train-0", "train-1", "val-0"):
        clip = ClipArrays(
            key=key,
            video=key,
            split=key.split("-")[0],
            fps=10.0,
            start=0,
            images=random.integers(0, 256, (1, 4, 4, 3), dtype=np.uint8),
            semseg=np.zeros((1, 4, 4), np.uint8),
            depth=np.ones((1, 4, 4), np.float32),
        )
        packed.append(pack_clip(clip_tar(key, encode_clip(clip))))
    return folder, write_shards(folder, packed)


@pytest.fixture(scope="module")
def s3_port():
    """A service for units; it proves nothing about keys or integrity."""
    from moto import server as moto

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        server = moto.ThreadedMotoServer("127.0.0.1", 0)
        server.start()
        port = server.get_host_and_port()[1]
        import boto3

        client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}")
        client.create_bucket(Bucket="shards")
        yield port
        server.stop()
