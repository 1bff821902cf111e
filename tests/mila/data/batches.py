"""Whether two batches are the same to the last bit; for the tests of the loader."""

import torch

from mila.clip import Clip


def assert_same(a: Clip, b: Clip) -> None:
    assert a.keys == b.keys
    for x, y in [(a.images, b.images), (a.frames, b.frames), (a.flow, b.flow)]:
        assert (x is None) == (y is None)
        torch.testing.assert_close(x, y, rtol=0, atol=0, equal_nan=True) if x is not None else None
    assert a.labels.keys() == b.labels.keys()
    for task in a.labels:
        torch.testing.assert_close(a.labels[task], b.labels[task], rtol=0, atol=0)
