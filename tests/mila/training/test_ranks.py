"""Two processes that train together: one state, stopped or not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from mila.config import Params
from mila.overrides import load_params
from mila.training.context import LocalContext
from mila.training.worker import work
from tests.conftest import MakeClip, MakeShards

WORDS = ("preset=smoke", "train.report_every=2", "train.precision=float32")


class Rank(LocalContext):
    """One of two ranks; only rank 0's state is saved, as under Ray."""

    world_size = 2

    def __init__(self, folder: Path, rank: int, stop_after: int | None) -> None:
        super().__init__(folder / f"rank{rank}", stop_after=stop_after)
        self.rank = rank
        self._first = folder / "rank0"

    def restore(self, state: object) -> bool:
        found = LocalContext(self._first).restore(state)
        dist.barrier()  # nobody writes the next one before all have read
        return found


def train(rank: int, folder: Path, params: Params, stop_after: int | None) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    try:
        state = work(Rank(folder, rank, stop_after), params)
        torch.save(state.model.state_dict(), folder / f"{rank}.pt")
        dist.barrier()
    finally:
        dist.destroy_process_group()
        (folder / "meet").unlink(missing_ok=True)


def ranks(folder: Path, params: Params, stop_after: int | None = None) -> list[dict[str, object]]:
    """The networks of both ranks after training."""
    folder.mkdir(exist_ok=True)
    mp.spawn(train, (folder, params, stop_after), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.fixture
def params(tmp_path: Path, make_clip: MakeClip, make_shards: MakeShards) -> Params:
    train_clips = [make_clip(f"train-{i:02d}", frames=6, height=32, width=48) for i in range(6)]
    make_shards(tmp_path / "data", train_clips)
    return load_params([*WORDS, f"data.root={tmp_path / 'data'}"])


@pytest.mark.timeout(300)
def test_ranks_agree_and_resume_to_the_last_bit(tmp_path: Path, params: Params) -> None:
    whole, other = ranks(tmp_path / "whole", params)
    ranks(tmp_path / "parts", params, stop_after=1)
    parts, _ = ranks(tmp_path / "parts", params)

    assert any("running_mean" in name for name in whole)
    torch.testing.assert_close(whole, other, rtol=0, atol=0)
    torch.testing.assert_close(whole, parts, rtol=0, atol=0)
