"""Flow over several frames: sums, what gets lost, and what the loader makes of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mila.data.draws import FrameDraw
from mila.data.flow_chain import chained, flow_between_drawn
from mila.data.sample import encode_clip
from mila.warping import warp


def uniform(*vectors: tuple[float, float]) -> np.ndarray:
    return np.stack([np.full((8, 12, 2), v, np.float32) for v in vectors])


def test_equal_steps_add_up():
    total = chained(uniform((1.5, 0.0), (0.5, -1.0), (-3.0, 2.0)))

    np.testing.assert_allclose(total, uniform((-1.0, 1.0))[0], atol=1e-6)


def test_no_step_means_no_motion():
    assert not chained(uniform((1.0, 1.0))[:0]).any()


def test_what_is_unknown_at_one_step_is_unknown_over_all():
    flows = uniform((2.0, 0.0), (3.0, 0.0), (0.0, 0.0))
    flows[0, 4, 6] = np.nan

    unknown = np.isnan(chained(flows)).any(axis=-1)

    assert unknown.sum() == 1
    assert unknown[4, 3], "what was at column 6 is at column 3 two frames later"


def test_a_pattern_is_found_where_the_chain_points():
    """Against the model's own warp: the first frame read along the chain is the last frame."""
    random = np.random.default_rng(0)
    first = torch.from_numpy(random.random((1, 1, 24, 40), np.float32))
    steps = uniform((1.0, -2.0), (3.0, 1.0))
    steps = np.broadcast_to(steps[:, :1, :1], (2, 24, 40, 2))
    last = torch.roll(first, (1, -4), dims=(2, 3))

    flow = torch.from_numpy(chained(np.ascontiguousarray(steps))).permute(2, 0, 1)[None]

    inner = (..., slice(4, 20), slice(4, 34))
    torch.testing.assert_close(warp(first, flow)[inner], last[inner], rtol=0, atol=1e-5)


def test_drawn_frames_get_the_flow_to_the_one_drawn_before(clips):
    clip = clips["train-0"]
    fields = encode_clip(clip)

    one = flow_between_drawn(fields, [1, 2], key="c")
    far = flow_between_drawn(fields, [0, 2], key="c")
    same = flow_between_drawn(fields, [1, 1, 2], key="c")

    np.testing.assert_allclose(one[1], clip.flow[2], atol=1 / 64)
    np.testing.assert_allclose(far[1], chained(one_by_one(fields, 2)), atol=1e-6)
    assert np.isnan(far[0]).all()
    assert not same[1].any()
    np.testing.assert_array_equal(same[2], one[1])


def one_by_one(fields, last):
    pairs = [[t - 1, t] for t in range(1, last + 1)]
    return np.stack([flow_between_drawn(fields, pair, key="c")[1] for pair in pairs])


def test_a_clip_without_flow_is_refused_by_name(clips):
    fields = encode_clip(replace(clips["train-0"], flow=None))

    with pytest.raises(ValueError, match="clip c has no optical flow, which exact_flow needs"):
        flow_between_drawn(fields, [0, 1], key="c")


def test_the_loader_gives_flow_to_the_keyframe(make_loader):
    loader = make_loader(flow=True, draw=FrameDraw("offset", max_offset=3), augmentation=None)

    clip, _ = next(loader.epoch())

    assert clip.flow.shape[1] == 2
    assert clip.flow[:, 0].isnan().all()
    assert not clip.flow[:, 1].isnan().all()
