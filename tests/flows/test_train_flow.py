"""flows/train.py under a local Ray, against the same training in this process."""

from pathlib import Path

import pytest

from flows.train import main


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from pipeline.shard import main as shard
    from pipeline.synthesize import main as synthesize

    folder = tmp_path_factory.mktemp("data")
    small = ["world.train_clips=4", "world.val_clips=1", "world.test_clips=1", "world.frames=4"]
    words = ["preset=smoke", *small, "world.workers=1", f"out={folder / 'raw'}"]
    assert synthesize(words) == 0
    assert shard([f"raw={folder / 'raw'}", f"out={folder / 'shards'}"]) == 0
    return folder / "shards"


def _words(data: Path, folder: Path, *more: str) -> list[str]:
    return [
        "preset=smoke",
        f"data.root={data}",
        f"out={folder / 'model'}",
        f"report={folder / 'train.json'}",
        f"cluster.storage={folder / 'runs'}",
        "cluster.num_workers=0",
        "tracking.enabled=false",
        "name=one",
        *(f"train.{stage}.updates=2" for stage in ("slow", "fast", "joint")),
        *more,
    ]


@pytest.mark.ray
def test_a_ray_worker_learns_the_same_weights_as_this_process(data, tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    here, there = tmp_path / "here", tmp_path / "there"
    assert main(_words(data, here)) == 0
    assert main(_words(data, there, "cluster.num_workers=1")) == 0
    weights = [(folder / "model/weights.pt").read_bytes() for folder in (here, there)]
    assert weights[0] == weights[1]
