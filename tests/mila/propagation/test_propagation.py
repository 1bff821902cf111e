"""One test over the table: every way of propagating keeps the same contract."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mila.config import PropagationSettings
from mila.propagation import (
    PROPAGATIONS,
    FeatureSizes,
    FrameFeatures,
    Propagated,
    Propagation,
    build_propagation,
)

SIZES = FeatureSizes(channels=16, feature_stride=8, low_channels=12, score_channels=(5, 1))
HEIGHT, WIDTH = 6, 9  # of the feature map

VARIANTS = {
    **{kind: {"kind": kind} for kind in PROPAGATIONS},
    "ila ts": {"kind": "ila", "task_specific": True},
    "ila mf": {"kind": "ila", "multi_frame": True, "reference_bias": True},
    "ila ts mf": {"kind": "ila", "multi_frame": True, "task_specific": True},
    "ila separate mf": {"kind": "ila", "projection": "separate", "multi_frame": True},
    "ila unprojected": {"kind": "ila", "projection": "none", "value": "conv"},
    "ila cosine": {"kind": "ila", "scaling": "cosine"},
    "ila unscaled": {"kind": "ila", "scaling": "one"},
    "ila near": {"kind": "ila", "prior": "near", "compare": "high"},
    "ila high": {"kind": "ila", "compare": "high"},
    "ila motion ts mf": {
        "kind": "ila",
        "prior": "motion",
        "task_specific": True,
        "multi_frame": True,
    },
    "global separate": {"kind": "global", "projection": "separate", "value": "conv"},
}
every_variant = pytest.mark.parametrize("variant", VARIANTS)


def build(variant: str, *, randomised: bool = False) -> Propagation:
    torch.manual_seed(0)
    base = {"radius": 2, "key_channels": 4, "flow_width": 8, "prior": "none", "multi_frame": False}
    options = base | VARIANTS[variant]
    module = build_propagation(PropagationSettings(**options), SIZES)
    if randomised:
        with torch.no_grad():
            for parameter in module.parameters():
                parameter += 0.2 * torch.randn_like(parameter)
    return module


def frame(seed: int, batch: int = 2) -> FrameFeatures:
    """A frame with everything that any of the kinds may ask for."""
    generator = torch.Generator().manual_seed(seed)

    def draw(channels: int, scale: int) -> Tensor:
        size = (batch, channels, HEIGHT * scale, WIDTH * scale)
        return torch.randn(size, generator=generator)

    return FrameFeatures(
        image=draw(3, 8),
        maps=(draw(16, 1), draw(16, 1)),
        low=draw(12, 2),
        scores=(draw(5, 1), draw(1, 1)),
        flow=2 * draw(2, 8),
        offset=torch.arange(2, 2 + batch),
    )


def third_frame(module: Propagation, frames: list[FrameFeatures]) -> Propagated:
    """Step at offset 2, streaming: keyframe, a frame between, the frame."""
    memory = module.start(frames[0])
    first = module.step(memory, frames[1])
    memory = module.advance(memory, frames[1], propagated=first)
    return module.step(memory, frames[2])


def outputs(propagated: Propagated) -> list[Tensor]:
    return [*propagated.maps, propagated.hints, *(propagated.scores or ())]


@every_variant
def test_shapes(variant: str) -> None:
    module = build(variant)
    out = third_frame(module, [frame(i) for i in range(3)])

    assert [m.shape for m in out.maps] == [(2, 16, HEIGHT, WIDTH)] * 2
    assert out.hints.shape == (2, module.hint_channels, HEIGHT, WIDTH)
    assert (out.scores is None) == (not module.needs_scores)
    if out.scores is not None:
        assert [s.shape for s in out.scores] == [(2, 5, HEIGHT, WIDTH), (2, 1, HEIGHT, WIDTH)]


@every_variant
def test_gradients_reach_every_parameter(variant: str) -> None:
    module = build(variant, randomised=True)
    if not list(module.parameters()):
        assert variant in {"copy", "exact_flow"}
        return

    out = third_frame(module, [frame(i) for i in range(3)])
    torch.stack([x.square().sum() for x in outputs(out)]).sum().backward()

    dead = [n for n, p in module.named_parameters() if p.grad is None or not p.grad.any()]
    assert not dead


@every_variant
def test_does_not_see_later_frames(variant: str) -> None:
    module = build(variant, randomised=True)
    memory = module.start(frame(0))
    alone = module.step(memory, frame(1))

    for later in (2, 3):
        module.advance(memory, frame(1))
        module.step(module.advance(memory, frame(later)), frame(later + 5))
        again = module.step(memory, frame(1))
        assert all(torch.equal(a, b) for a, b in zip(outputs(alone), outputs(again), strict=True))


@every_variant
def test_samples_do_not_mix(variant: str) -> None:
    module = build(variant, randomised=True).double()
    frames = [doubled(frame(i)) for i in range(3)]
    both = third_frame(module, frames)

    one = third_frame(module, [first_sample(f) for f in frames])

    for a, b in zip(outputs(both), outputs(one), strict=True):
        torch.testing.assert_close(a[:1], b)


def doubled(f: FrameFeatures) -> FrameFeatures:
    assert f.low is not None
    assert f.scores is not None
    assert f.flow is not None
    maps, scores = (tuple(x.double() for x in xs) for xs in (f.maps, f.scores))
    return replace(
        f,
        image=f.image.double(),
        maps=maps,
        low=f.low.double(),
        scores=scores,
        flow=f.flow.double(),
    )


def first_sample(f: FrameFeatures) -> FrameFeatures:
    assert f.low is not None
    assert f.scores is not None
    assert f.flow is not None
    assert f.offset is not None
    return FrameFeatures(
        image=f.image[:1],
        maps=tuple(m[:1] for m in f.maps),
        low=f.low[:1],
        scores=tuple(s[:1] for s in f.scores),
        flow=f.flow[:1],
        offset=f.offset[:1],
    )


@every_variant
def test_what_advance_reuses_changes_nothing(variant: str) -> None:
    module = build(variant, randomised=True)
    frames = [frame(i) for i in range(3)]
    streamed = third_frame(module, frames)

    memory = module.advance(module.start(frames[0]), frames[1])
    skipped = module.step(memory, frames[2])

    for a, b in zip(outputs(streamed), outputs(skipped), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@every_variant
def test_diagnostics_only_on_request_and_without_gradient(variant: str) -> None:
    module = build(variant)
    memory = module.start(frame(0))

    assert module.step(memory, frame(1)).diagnostics == {}
    for value in module.step(memory, frame(1), diagnose=True).diagnostics.values():
        assert not value.requires_grad


@pytest.mark.parametrize("kind", ["copy", "concat", "flow_warp", "exact_flow"])
def test_starts_as_a_copy_of_the_keyframe(kind: str) -> None:
    key, current = frame(0), replace(frame(1), flow=torch.zeros(2, 2, HEIGHT * 8, WIDTH * 8))
    module = build(kind)

    out = module.step(module.start(key), current)

    torch.testing.assert_close(out.maps[0], key.maps[0], rtol=1e-5, atol=1e-5)


def test_score_fusion_starts_as_a_copy_of_the_scores() -> None:
    module = build("score_fusion")

    out = module.step(module.start(frame(0)), frame(1))

    assert out.scores is not None
    for got, want in zip(out.scores, frame(0).scores or (), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "kind, uncounted",
    [
        ("concat", lambda hw: 0),
        ("flow_warp", lambda hw: 5 * 16 * hw),  # four taps and the scale
        ("score_fusion", lambda hw: 4 * 6 * hw),
        ("lvs", lambda hw: 25 * 16 * hw),
    ],
)
def test_macs_are_those_of_torch(kind: str, uncounted: Callable[[int], int]) -> None:
    """Torch counts convolutions; warps and kernel sums come on top."""
    module = build(kind)
    memory = module.start(frame(0, batch=1))

    with FlopCounterMode(display=False) as counter:
        module.step(memory, frame(1, batch=1))

    counted = counter.get_total_flops() // 2 + uncounted(HEIGHT * WIDTH)
    assert module.macs(HEIGHT, WIDTH).frame == counted
    assert module.macs(HEIGHT, WIDTH).keyframe == 0


def test_unknown_kind_is_named() -> None:
    settings = PropagationSettings.model_construct(kind="telepathy")
    with pytest.raises(ValueError, match=r"kind must be one of .*'ila'.*got telepathy"):
        build_propagation(settings, SIZES)


@pytest.mark.parametrize(
    "kind, missing",
    [
        ("lvs", "low"),
        ("ila", "low"),
        ("score_fusion", "scores"),
        ("exact_flow", "flow"),
        ("ila near", "offset"),
    ],
)
def test_missing_input_is_named(kind: str, missing: str) -> None:
    module = build(kind)
    bare = replace(frame(0), low=None, scores=None, flow=None, offset=None)

    with pytest.raises(ValueError, match=missing):
        module.step(module.start(bare), bare)
