"""Step equals forward, for every way of propagating."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mila.config import EncoderSettings, FusionSettings, ModelSettings, PropagationSettings
from mila.model import Memory, Mila, build_model
from mila.propagation import PROPAGATIONS

HEIGHT, WIDTH = 32, 64


def settings(**propagation: object) -> ModelSettings:
    return ModelSettings(
        channels=16,
        head_channels=16,
        slow=EncoderSettings(widths=(16, 16, 32, 32), depths=(0, 1, 1, 1)),
        fast=EncoderSettings(widths=(16, 16, 16, 16), depths=(0, 0, 0, 0), smooth=False),
        fusion=FusionSettings(width=16),
        propagation=PropagationSettings(radius=2, key_channels=8, **propagation),  # type: ignore[arg-type]
    )


def fresh(model_settings: ModelSettings, *, seed: int = 0) -> Mila:
    """A model whose fusion is not at its zero start, so that every path shows."""
    torch.manual_seed(seed)
    model = build_model(model_settings).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def images(frames: int, *, batch: int = 2) -> Tensor:
    g = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (batch, frames, 3, HEIGHT, WIDTH), dtype=torch.uint8, generator=g)


VARIANTS = [{"kind": kind} for kind in PROPAGATIONS if kind != "exact_flow"] + [
    {"multi_frame": False},
    {"task_specific": True, "multi_frame": False},
    {"before": "fast"},
    {"task_specific": True, "before": "fast", "reference_bias": True},
    {"task_specific": True, "before": "fused"},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_later_frames_do_not_change_earlier_answers(variant: dict[str, object]) -> None:
    model = fresh(settings(**variant))
    clip = images(4)
    changed = clip.clone()
    changed[:, 3] = 255 - changed[:, 3]
    with torch.no_grad():
        first = [p["depth"] for p, _ in model(clip, keyframe_interval=4)]
        second = [p["depth"] for p, _ in model(changed, keyframe_interval=4)]

    for t in range(3):
        assert torch.equal(first[t], second[t])
    assert not torch.equal(first[3], second[3])


@pytest.mark.parametrize(
    "variant", [{}, {"task_specific": True}, {"kind": "score_fusion"}], ids=str
)
def test_interval_one_is_the_slow_network(variant: dict[str, object]) -> None:
    model = fresh(settings(**variant))
    clip = images(2)
    with torch.no_grad():
        for t, (predictions, _) in enumerate(model(clip, keyframe_interval=1)):
            for task, expected in model.slow_predictions(clip[:, t]).items():
                assert torch.equal(predictions[task], expected)


def test_copied_keyframe_features_give_the_keyframe_answer() -> None:
    model = fresh(settings())
    clip = images(1)
    with torch.no_grad():
        predictions, memory = model.step(clip[:, 0], None)
        copied = model.copied_predictions(memory, (HEIGHT, WIDTH))

    torch.testing.assert_close(copied["semseg"], predictions["semseg"])


def test_what_was_fused_is_carried_on_from_frame_to_frame() -> None:
    fused, fast = fresh(settings(before="fused")), fresh(settings(before="fast"))
    fast.load_state_dict(fused.state_dict())
    clip = images(4)
    with torch.no_grad():
        carried = [p["depth"] for p, _ in fused(clip, keyframe_interval=4)]
        own = [p["depth"] for p, _ in fast(clip, keyframe_interval=4)]

    assert torch.equal(carried[1], own[1])  # the frame before is the keyframe
    assert not torch.equal(carried[2], own[2])


def test_nothing_of_a_stream_stays_on_the_module() -> None:
    model = fresh(settings(multi_frame=True))
    a, b = images(3), 255 - images(3)

    def run(clip: Tensor, memory: Memory | None, t: int) -> tuple[Tensor, Memory]:
        predictions, memory = model.step(clip[:, t], memory)
        return predictions["depth"], memory

    with torch.no_grad():
        alone = [p["depth"] for p, _ in model(a, keyframe_interval=3)]
        memory_a: Memory | None = None
        memory_b: Memory | None = None
        for t in range(3):
            answer, memory_a = run(a, memory_a, t)
            _, memory_b = run(b, memory_b, t)
            assert torch.equal(answer, alone[t])


def test_the_joint_stage_begins_as_propagated_slow_features() -> None:
    torch.manual_seed(0)
    model = build_model(settings(kind="copy")).eval()
    model.start_joint()
    clip = images(2)
    with torch.no_grad():
        _, memory = model.step(clip[:, 0], None)
        predictions, _ = model.step(clip[:, 1], memory)
        copied = model.copied_predictions(memory, (HEIGHT, WIDTH))

    for task, expected in copied.items():
        torch.testing.assert_close(predictions[task], expected)


def test_an_encoder_that_would_crash_is_refused() -> None:
    narrow = EncoderSettings(widths=(8, 16, 16, 16), depths=(0, 1, 0, 0))
    with pytest.raises(ValueError, match=">= 16 input channels, got 8"):
        build_model(settings().model_copy(update={"fast": narrow}))
