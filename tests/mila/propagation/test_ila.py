"""What ILA, TS and MF must do beyond the common contract."""

import pytest
import torch
from torch import Tensor

from mila.config import PropagationSettings
from mila.propagation import FeatureSizes, FrameFeatures, build_propagation
from mila.propagation.ila import InterFrameLocalAttention

CHANNELS = 16
SIZES = FeatureSizes(channels=CHANNELS, feature_stride=4, low_channels=8, score_channels=(5, 1, 3))


def build(hints: bool = True, **options: object) -> InterFrameLocalAttention:
    torch.manual_seed(0)
    base = {"radius": 2, "key_channels": 8, "prior": "none", "compare": "high"}
    base["multi_frame"] = False
    settings = PropagationSettings(**base | options)
    module = build_propagation(settings, SIZES, hints=hints)
    assert isinstance(module, InterFrameLocalAttention)
    return module


def frame(seed: int, height: int = 7, width: int = 10, tasks: int = 3) -> FrameFeatures:
    generator = torch.Generator().manual_seed(seed)
    size = (2, CHANNELS, height, width)
    maps = tuple(torch.randn(size, generator=generator) for _ in range(tasks))
    return FrameFeatures(image=torch.zeros(2, 3, 4 * height, 4 * width), maps=maps)


def test_radius_zero_copies() -> None:
    module = build(radius=0)

    out = module.step(module.start(frame(0)), frame(1))

    assert torch.equal(out.maps[0], frame(0).maps[0])
    assert torch.equal(out.hints[:, :2], torch.zeros(2, 2, 7, 10))


def test_without_ts_all_tasks_share_one_tensor() -> None:
    module = build()
    out = module.step(module.start(frame(0)), frame(1))

    assert all(m is out.maps[0] for m in out.maps)


def test_ts_attends_each_task_with_its_own_map_and_theta() -> None:
    module = build(task_specific=True)
    key, current = frame(0), frame(1)
    out = module.step(module.start(key), current)

    for task in range(3):
        alone = build()
        alone.projections[0].load_state_dict(module.projections[task].state_dict())
        single = alone.step(
            alone.start(FrameFeatures(key.image, key.maps[task : task + 1])),
            FrameFeatures(current.image, current.maps[task : task + 1]),
        )
        torch.testing.assert_close(out.maps[task], single.maps[0])
    assert out.hints.shape[1] == module.hint_channels == 12


def test_window_over_the_map_equals_global_attention() -> None:
    local = build(radius=16)
    settings = PropagationSettings(kind="global", key_channels=8)
    whole = build_propagation(settings, SIZES)
    whole.projection.load_state_dict(local.projections[0].state_dict())
    key, current = frame(0), frame(1)

    expected = whole.step(whole.start(key), current).maps[0]

    torch.testing.assert_close(local.step(local.start(key), current).maps[0], expected)


def test_mf_at_offset_one_equals_base() -> None:
    base, multi = build(), build(multi_frame=True)
    key, current = frame(0), frame(1)

    expected = base.step(base.start(key), current)
    out = multi.step(multi.start(key), current)

    torch.testing.assert_close(out.maps[0], expected.maps[0])
    torch.testing.assert_close(out.hints[:, :4], expected.hints)


def test_mf_in_a_batch_of_mixed_offsets() -> None:
    module = build(multi_frame=True)
    memory = module.start(frame(0))
    both = module.step(module.advance(memory, frame(1)), frame(2))
    neither = module.step(memory, frame(2))

    some = module.advance(memory, frame(1), present=torch.tensor([True, False]))
    mixed = module.step(some, frame(2), diagnose=True)

    torch.testing.assert_close(mixed.maps[0][0], both.maps[0][0])
    torch.testing.assert_close(mixed.maps[0][1], neither.maps[0][1])
    mass = mixed.diagnostics["mass"]
    torch.testing.assert_close(mass.sum(dim=1), torch.ones(2, 7, 10))
    assert not mass[1, 1].any()
    torch.testing.assert_close(mixed.hints[:, 4], mass[:, 0], rtol=1e-4, atol=1e-5)


def test_mf_keeps_only_the_frame_before() -> None:
    module = build(multi_frame=True)
    memory = module.start(frame(0))
    direct = module.step(module.advance(memory, frame(2)), frame(3))

    memory = module.advance(module.advance(memory, frame(1)), frame(2))

    assert torch.equal(module.step(memory, frame(3)).maps[0], direct.maps[0])


def test_reference_bias_moves_the_mass() -> None:
    module = build(multi_frame=True, reference_bias=True)
    assert module.bias is not None
    memory = module.advance(module.start(frame(0)), frame(1))
    with torch.no_grad():
        module.bias[0] = 50.0

    out = module.step(memory, frame(2), diagnose=True)

    torch.testing.assert_close(out.diagnostics["mass"][:, 0], torch.ones(2, 7, 10))


def shifted(features: Tensor, y: int, x: int) -> Tensor:
    return features.roll((y, x), dims=(2, 3))


def test_hints_tell_where_the_features_were() -> None:
    module = build(radius=4, scaling="one", projection="none")
    current = frame(0, height=16, width=20)
    # Of equal length: else a longer neighbour may win over the same feature.
    strong = FrameFeatures(
        current.image, tuple(8 * m / m.norm(dim=1, keepdim=True) for m in current.maps)
    )
    key = FrameFeatures(current.image, tuple(shifted(m, 2, -3) for m in strong.maps))

    hints = module.step(module.start(key), strong).hints[..., 4:-4, 4:-4]

    expected = torch.tensor([2 / 4, -3 / 4, 0.01 / 4, 0.01 / 4]).view(1, 4, 1, 1)
    torch.testing.assert_close(hints, expected.expand_as(hints), atol=3e-3, rtol=0)


def test_hints_of_undecided_attention_are_those_of_the_window() -> None:
    module = build(radius=2)
    key = frame(0, height=9, width=9)
    current = FrameFeatures(key.image, tuple(torch.zeros_like(m) for m in key.maps))

    out = module.step(module.start(key), current, diagnose=True)

    middle = torch.tensor([0.0, 0.0, 2**0.5 / 2, 2**0.5 / 2])  # variance of -2 .. 2 is 2
    torch.testing.assert_close(out.hints[0, :, 4, 4], middle, atol=1e-4, rtol=0)
    corner = torch.tensor([1 / 2, 1 / 2, (2 / 3) ** 0.5 / 2, (2 / 3) ** 0.5 / 2])
    torch.testing.assert_close(out.hints[0, :, 0, 0], corner, atol=1e-4, rtol=0)
    torch.testing.assert_close(out.diagnostics["entropy"], torch.ones(2, 9, 9))


def test_hints_do_not_change_what_is_carried() -> None:
    with_hints, without = build(), build(hints=False)
    key, current = frame(0), frame(1)

    expected = with_hints.step(with_hints.start(key), current).maps[0]
    out = without.step(without.start(key), current)

    torch.testing.assert_close(out.maps[0], expected)
    assert out.hints.shape == (2, 0, 7, 10)


def test_half_precision_features_keep_exact_hints() -> None:
    module = build(radius=2)
    key = frame(0, height=40, width=40)
    half = FrameFeatures(key.image, tuple(m.bfloat16() for m in key.maps))
    still = FrameFeatures(key.image, tuple(torch.zeros_like(m) for m in half.maps))

    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = module.step(module.start(half), still)

    torch.testing.assert_close(
        out.hints[:, :2, 2:-2, 2:-2], torch.zeros(2, 2, 36, 36), atol=1e-3, rtol=0
    )
    assert out.maps[0].dtype == torch.bfloat16


@pytest.mark.parametrize("scaling, factor", [("sqrt", 1.0), ("one", 8**0.5)])
def test_scaling(scaling: str, factor: float) -> None:
    module, plain = build(scaling=scaling), build()
    key, current = frame(0), frame(1)
    sharper = FrameFeatures(current.image, tuple(factor * m for m in current.maps))

    out = module.step(module.start(key), current).maps[0]

    expected = plain.step(plain.start(key), sharper).maps[0]
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


def test_cosine_ignores_the_length_of_features() -> None:
    module = build(scaling="cosine")
    key, current = frame(0), frame(1)
    longer = FrameFeatures(current.image, tuple(7 * m for m in current.maps))

    out = module.step(module.start(key), current).maps[0]

    expected = module.step(module.start(key), longer).maps[0]
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


def test_value_convolution_starts_as_the_identity() -> None:
    plain, conv = build(), build(value="conv")
    key, current = frame(0), frame(1)

    expected = plain.step(plain.start(key), current).maps[0]

    torch.testing.assert_close(conv.step(conv.start(key), current).maps[0], expected)


def brute_pairs(height: int, width: int, radius: int) -> int:
    places = [(y, x) for y in range(height) for x in range(width)]
    return sum(abs(y - v) <= radius and abs(x - u) <= radius for y, x in places for v, u in places)


@pytest.mark.parametrize("height, width, radius", [(5, 7, 2), (2, 3, 4), (6, 1, 0)])
def test_macs_by_hand(height: int, width: int, radius: int) -> None:
    positions, pairs = height * width, brute_pairs(height, width, radius)
    project = positions * CHANNELS * 8

    plain = build(radius=radius, hints=False).macs(height, width)
    hints = build(radius=radius).macs(height, width)
    multi = build(radius=radius, multi_frame=True, task_specific=True).macs(height, width)

    assert plain.keyframe == project
    assert plain.frame == project + pairs * (8 + CHANNELS)
    assert hints.frame == plain.frame + 4 * pairs
    assert multi.keyframe == 3 * project
    assert multi.frame == 3 * (project + 2 * pairs * (8 + CHANNELS + 5))
