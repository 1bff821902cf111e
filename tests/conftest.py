"""Small clips and data sets for all tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mila.data.manifest import Manifest
from mila.data.sample import ClipArrays, encode_clip
from mila.data.shards import clip_tar, pack_clip, write_clip_tar, write_shards
from pipeline.catalog import CatalogRow, write_catalog

MakeClip = Callable[..., ClipArrays]
MakeShards = Callable[..., Manifest]


@pytest.fixture
def make_clip() -> MakeClip:
    """Makes a clip of noise that has every label, `make_clip("train-00", frames=3, ...)`."""
    return _noise_clip


@pytest.fixture
def make_shards() -> MakeShards:
    """Writes clips as shards, `make_shards(folder, clips, shard_bytes=...)`."""
    return _write_shards


def _noise_clip(
    key: str = "train-00", *, frames: int = 3, height: int = 18, width: int = 26, **changes: Any
) -> ClipArrays:
    random = np.random.default_rng(sum(key.encode()))
    shape = (frames, height, width)
    normals = random.normal(size=(*shape, 3))
    flow = random.normal(size=(*shape, 2)).astype(np.float32)
    flow[0] = np.nan
    flow[:, 0, 0] = np.nan
    semseg = random.integers(0, 19, shape, dtype=np.uint8)
    semseg[:, 1, 1] = 255
    depth = random.integers(0, 2**16, shape).astype(np.float32) / 256
    depth[:, 2, 2] = 0
    values = {
        "video": f"video-{key}",
        "split": key.split("-")[0],
        "fps": 17.0,
        "start": 4,
        "images": _smooth_images(random, shape),
        "semseg": semseg,
        "depth": depth,
        "normals": (normals / np.linalg.norm(normals, axis=-1, keepdims=True)).astype(np.float32),
        "flow": flow,
        "intrinsics": (20.0, 21.0, 12.5, 8.5),
    }
    return ClipArrays(key=key, **{**values, **changes})


def _smooth_images(random: np.random.Generator, shape: tuple[int, int, int]) -> Any:
    """Colours that change slowly over the image, so that JPEG keeps them."""
    frames, height, width = shape
    corners = random.uniform(30, 220, size=(frames, 2, 2, 3))
    y = np.linspace(0, 1, height)[None, :, None, None]
    x = np.linspace(0, 1, width)[None, None, :, None]
    top = corners[:, None, None, 0, 0] * (1 - x) + corners[:, None, None, 0, 1] * x
    bottom = corners[:, None, None, 1, 0] * (1 - x) + corners[:, None, None, 1, 1] * x
    return (top * (1 - y) + bottom * y).astype(np.uint8)


def _write_shards(folder: Path, clips: list[ClipArrays], *, shard_bytes: int = 1 << 20) -> Manifest:
    packed = [pack_clip(clip_tar(clip.key, encode_clip(clip))) for clip in clips]
    return write_shards(folder, packed, shard_bytes=shard_bytes)


@pytest.fixture
def make_raw() -> Callable[..., None]:
    """Writes clips as `pipeline.synthesize` does, `make_raw(folder, clips)`."""
    return _write_raw


def _write_raw(folder: Path, clips: list[ClipArrays]) -> None:
    (folder / "clips").mkdir(parents=True)
    rows = []
    for clip in clips:
        digest = write_clip_tar(folder / f"clips/{clip.key}.tar", clip.key, encode_clip(clip))
        row = CatalogRow(
            clip=clip.key,
            video=clip.video,
            split=clip.split,
            fps=clip.fps,
            start=clip.start,
            frames=len(clip.images),
            labels=("depth", "semseg"),
            path=f"clips/{clip.key}.tar",
            sha256=digest,
        )
        rows.append(row)
    write_catalog(folder / "catalog.parquet", rows)
