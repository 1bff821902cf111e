"""One process and two give the same answer at the same global batch.

What remains different by choice is the normalisation: every worker normalises over its own share of
the batch. Here the statistics go over all shares, so that everything else has to agree.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from mila.config import Params
from mila.overrides import load_params
from mila.training.loop import fit
from mila.training.source import ShardSource
from mila.training.stages import build_stages
from mila.training.state import TrainState
from mila.training.update import Hardware
from mila.training.validation import Validation
from tests.conftest import MakeClip, MakeShards

WORDS = (
    *("preset=smoke", "train.report_every=3", "train.precision=float32"),
    *("train.slow.updates=3", "train.fast.updates=3", "train.joint.updates=3"),
)


class SharedNorm(nn.BatchNorm2d):
    """Batch normalisation over the images of all ranks; every rank has the same number."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        mean = _over_ranks(x.mean(dim=(0, 2, 3)))
        offset = x - mean[None, :, None, None]
        variance = _over_ranks(offset.square().mean(dim=(0, 2, 3)))
        count = dist.get_world_size() * x.numel() // x.shape[1]
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            self.num_batches_tracked += 1
        scale = self.weight * (variance + self.eps).rsqrt()
        return offset * scale[None, :, None, None] + self.bias[None, :, None, None]


def _over_ranks(value: Tensor) -> Tensor:
    return MeanOverRanks.apply(value)


class MeanOverRanks(torch.autograd.Function):
    """A mean over ranks; its gradient is one as well."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total / dist.get_world_size()

    backward = forward


def train(rank: int, folder: Path, params: Params, world_size: int) -> None:
    """Train one rank; each leaves its losses and its networks."""
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meet-{world_size}"
    dist.init_process_group("gloo", meeting, rank=rank, world_size=world_size)
    try:
        state = TrainState(params, device=torch.device("cpu"))
        for module in state.model.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = SharedNorm
        losses = _losses(state, params, rank, world_size)
        torch.save((losses, state.model.state_dict()), folder / f"{world_size}-{rank}.pt")
        dist.barrier()
    finally:
        dist.destroy_process_group()


def _losses(state: TrainState, params: Params, rank: int, world_size: int) -> list[Tensor]:
    """The recorded loss of every update, by report."""
    hardware = Hardware(
        device=torch.device("cpu"), autocast=None, world_size=world_size, clip_gradient=1.0
    )
    source = ShardSource(params, rank=rank, world_size=world_size)
    reports = fit(state, source, hardware=hardware, validate=Validation(params, hardware))
    return [torch.tensor(report.series["loss"], dtype=torch.float64) for report in reports]


@pytest.fixture
def params(tmp_path: Path, make_clip: MakeClip, make_shards: MakeShards) -> Params:
    """Clips with the same number of labelled pixels: each rank's mean weighs the same then."""
    random = np.random.default_rng(0)
    clips = []
    for i in range(6):
        depth = random.uniform(2, 80, (6, 32, 48)).astype(np.float32)
        clips.append(make_clip(f"train-{i:02d}", frames=6, height=32, width=48, depth=depth))
    make_shards(tmp_path / "data", clips)
    return load_params([*WORDS, f"data.root={tmp_path / 'data'}"])


@pytest.mark.timeout(200)
def test_one_and_two_ranks_train_the_same_networks(tmp_path: Path, params: Params) -> None:
    for world_size in (1, 2):
        mp.spawn(train, (tmp_path, params, world_size), nprocs=world_size)
    (losses, one), (both, two), (also, _) = (
        torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("1-0", "2-0", "2-1")
    )

    assert [len(of_stage) for of_stage in losses] == [3] * len(build_stages(params.train))
    torch.testing.assert_close(both, losses, rtol=1e-4, atol=0)
    torch.testing.assert_close(also, both, rtol=0, atol=0)
    assert two.keys() == one.keys()
    for name, expected in one.items():
        # Tensors as a whole: AdamW divides a gradient by its own size, so where one is rounding
        # noise, a single weight moves by up to the learning rate either way.
        apart = torch.linalg.vector_norm(two[name].double() - expected.double())
        size = torch.linalg.vector_norm(expected.double())
        assert apart <= 1e-3 * size + 1e-6, f"{name}: {apart} apart, size {size}"
