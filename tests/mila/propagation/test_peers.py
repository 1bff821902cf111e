"""Warping, exact flow, flow network, predicted kernels and global attention, each by itself."""

import pytest
import torch
import torch.nn.functional as F

from mila.config import PropagationSettings
from mila.propagation import FeatureSizes, FrameFeatures, build_propagation
from mila.propagation.flow_net import FlowNet, eighth
from mila.propagation.flow_warp import ExactFlowWarp
from mila.propagation.global_attention import MOST_KEYS
from mila.propagation.lvs import PredictedKernels, gather
from mila.warping import warp

SIZES = FeatureSizes(channels=8, feature_stride=4, low_channels=8, score_channels=(5,))


def test_warp_reads_where_the_flow_points_and_clamps_at_the_border() -> None:
    maps = torch.arange(12.0).view(1, 1, 3, 4)
    flow = torch.zeros(1, 2, 3, 4)
    flow[:, 0] = 1.0  # one to the right
    flow[:, 1, 0] = 0.5  # first row: half a row down

    out = warp(maps, flow)[0, 0]

    expected = torch.tensor([[3.0, 4, 5, 5], [5, 6, 7, 7], [9, 10, 11, 11]])
    torch.testing.assert_close(out, expected)


def moving(images: int, step: int) -> list[FrameFeatures]:
    """Frames of a pattern that moves `step` image pixels to the right per frame."""
    pattern = torch.randn(1, 8, 6, 40, generator=torch.Generator().manual_seed(0))
    frames = []
    for t in range(images):
        at = 20 - t * step // 4
        flow = torch.zeros(1, 2, 24, 64)
        flow[:, 0] = -step
        maps = (pattern[..., at : at + 16],)
        frames.append(FrameFeatures(torch.zeros(1, 3, 24, 64), maps, flow=flow))
    return frames


def test_exact_flow_is_chained_over_the_frames_between() -> None:
    module, frames = ExactFlowWarp(), moving(3, step=4)
    memory = module.advance(module.start(frames[0]), frames[1])

    out = module.step(memory, frames[2]).maps[0]

    torch.testing.assert_close(out[..., 2:], frames[2].maps[0][..., 2:], rtol=1e-4, atol=1e-4)


def test_exact_flow_reads_straight_through_where_nothing_is_known() -> None:
    module, frames = ExactFlowWarp(), moving(3, step=4)
    assert frames[1].flow is not None
    frames[1].flow[..., 32:] = torch.nan
    memory = module.advance(module.start(frames[0]), frames[1])

    out = module.step(memory, frames[2]).maps[0]

    torch.testing.assert_close(out[..., 10:], frames[0].maps[0][..., 10:])
    torch.testing.assert_close(out[..., 2:8], frames[2].maps[0][..., 2:8], rtol=1e-4, atol=1e-4)


def test_flow_network_starts_without_motion_and_keeps_odd_sizes() -> None:
    net = FlowNet(8)
    motion = net(torch.randn(1, 3, 45, 70), torch.randn(1, 3, 45, 70), (12, 18))

    assert torch.equal(motion.flow, torch.zeros(1, 2, 12, 18))
    assert motion.features.shape == (1, 16, eighth(45), eighth(70))


def test_flow_is_rescaled_to_feature_pixels() -> None:
    net = FlowNet(8)
    with torch.no_grad():
        net.flow.bias.copy_(torch.tensor([4.0, -2.0]))  # pixels of the half-size image

    flow = net(torch.zeros(1, 3, 48, 64), torch.zeros(1, 3, 48, 64), (6, 8)).flow

    torch.testing.assert_close(flow[:, 0], torch.full((1, 6, 8), 1.0))
    torch.testing.assert_close(flow[:, 1], torch.full((1, 6, 8), -0.5))


@pytest.mark.parametrize("radius", [0, 1, 2])
def test_gather_is_a_sum_over_the_window(radius: int) -> None:
    maps = torch.randn(2, 3, 4, 5, dtype=torch.float32)
    weights = torch.randn(2, (2 * radius + 1) ** 2, 4, 5)
    windows = F.unfold(maps, 2 * radius + 1, padding=radius).view(2, 3, -1, 4, 5)

    out = gather(maps, weights, radius)

    torch.testing.assert_close(out, (windows * weights.unsqueeze(1)).sum(dim=2))


def test_predicted_kernels_start_near_a_copy_and_sum_to_one() -> None:
    module = PredictedKernels(SIZES, radius=2)
    low = torch.randn(1, 8, 6, 7)
    key = FrameFeatures(torch.zeros(1, 3, 24, 28), (torch.ones(1, 8, 6, 7),), low=low)

    out = module.step(module.start(key), key).maps[0]

    torch.testing.assert_close(out, torch.ones_like(out))
    one_hot = torch.zeros(1, 8, 6, 7)
    one_hot[..., 3, 3] = 1
    spread = FrameFeatures(key.image, (one_hot,), low=low)
    out = module.step(module.start(spread), spread).maps[0]
    torch.testing.assert_close(out[0, 0, 3, 3], torch.tensor(5 / 6))


def test_global_attention_averages_keys_of_large_maps() -> None:
    settings = PropagationSettings(kind="global", key_channels=4)
    module = build_propagation(settings, SIZES)
    maps = (torch.randn(1, 8, 40, 60),)
    frame = FrameFeatures(torch.zeros(1, 3, 160, 240), maps)

    memory = module.start(frame)
    keys = memory.references[0].keys[0]
    out = module.step(memory, frame).maps[0]

    assert keys.shape[-2:] == (20, 30)
    assert keys.shape[-2] * keys.shape[-1] <= MOST_KEYS
    assert out.shape == (1, 8, 40, 60)
    project = 40 * 60 * 8 * 4
    assert module.macs(40, 60).frame == project + 40 * 60 * 600 * (4 + 8)
    assert module.macs(40, 60).keyframe == project
