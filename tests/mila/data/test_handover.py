"""Between processes a batch is one block, and comes out with the same bits."""

import pickle

import pytest
import torch

from mila.clip import Clip
from mila.data.handover import LoadedBatch
from mila.data.plan import Position
from tests.mila.data.batches import assert_same


def batch(flow: bool) -> LoadedBatch:
    """Sizes of which no power of two is a divisor: any wrong order would misplace an item."""
    shape = (1, 3, 5, 7)
    labels = {
        "normals": torch.randn(1, 3, 3, 5, 7),
        "semseg": torch.randint(0, 19, shape),
        "depth": torch.rand(shape),
    }
    backward = torch.full((1, 3, 2, 5, 7), torch.nan) if flow else None
    images = torch.randint(0, 256, (1, 3, 3, 5, 7), dtype=torch.uint8)
    return LoadedBatch(
        Clip(images, labels, torch.tensor([[4, 7, 8]]), ("train-0",), backward), Position(2, 1)
    )


@pytest.mark.parametrize("flow", [True, False])
def test_what_arrives_is_what_was_sent(flow):
    sent = batch(flow)

    got = pickle.loads(pickle.dumps(sent))

    assert got.after == sent.after
    assert_same(got.clip, sent.clip)
    assert list(got.clip.labels) == list(sent.clip.labels), "losses are added up in this order"
    assert got.clip.images.dtype == torch.uint8
    assert got.clip.labels["semseg"].dtype == torch.int64


@pytest.mark.parametrize("workers", [0, 1])
def test_only_a_batch_of_a_loader_process_is_one_block(make_loader, workers):
    clip, _ = next(make_loader(workers=workers, flow=True).epoch())

    tensors = [clip.images, clip.frames, clip.flow, *clip.labels.values()]
    blocks = {tensor.untyped_storage().data_ptr() for tensor in tensors}

    assert len(blocks) == (1 if workers else len(tensors))
    assert all(tensor.is_shared() == bool(workers) for tensor in tensors)
