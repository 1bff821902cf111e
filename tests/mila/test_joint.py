"""The training pass gives what a stream gives, for every way of propagating."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mila.clip import Clip
from mila.joint import JointOutput, joint_pass
from mila.model import Mila
from mila.propagation import PROPAGATIONS

VARIANTS = [{"kind": kind} for kind in PROPAGATIONS] + [
    {"multi_frame": False},
    {"task_specific": True, "multi_frame": False},
    {"before": "fast"},
    {"task_specific": True, "before": "fast", "reference_bias": True},
    {"task_specific": True, "before": "fused"},
]


def streamed(model: Mila, clip: Clip, first: int) -> list[dict[str, Tensor]]:
    """Answers to a clip from its keyframe `first` on."""
    answers, memory = [], None
    for t in range(first, clip.images.shape[1]):
        flow = clip.flow[:, t] if clip.flow is not None else None
        predictions, memory = model.step(clip.images[:, t], memory, flow=flow)
        answers.append(predictions)
    return answers


def passed(model: Mila, clip: Clip, supervised: int) -> JointOutput:
    return joint_pass(
        model, clip.images, clip.frames, train_slow=False, supervised=supervised, flow=clip.flow
    )


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("supervised", [1, 2, 4])
def test_a_run_is_answered_like_a_stream(
    variant: dict[str, object], supervised: int, make_model: Callable, make_batch: Callable
) -> None:
    model, clip = make_model(**variant), make_batch(2, 4, flow=True)
    with torch.no_grad():
        stream = streamed(model, clip, 0)
        out = passed(model, clip, supervised)

    assert len(out.samples) == 2 * min(supervised, 3)
    for row, (sample, t) in enumerate(zip(out.samples, out.positions, strict=True)):
        for task, prediction in out.predictions.items():
            expected = stream[t][task][sample]
            torch.testing.assert_close(prediction[row], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("variant", [{}, {"before": "fast"}, {"kind": "exact_flow"}], ids=str)
def test_frames_before_their_keyframe_are_left_out(
    variant: dict[str, object], make_model: Callable, make_batch: Callable
) -> None:
    model, whole = make_model(**variant), make_batch(1, 4, flow=True)
    chosen = [2, 2, 2, 3]  # drawn at offset 1 with a run of 3: its first two frames lie before
    flow = whole.flow[:, chosen].clone()
    flow[:, 1:3] = 0.0
    clip = Clip(whole.images[:, chosen], whole.labels, torch.tensor([chosen]), whole.keys, flow)
    with torch.no_grad():
        stream = streamed(model, whole, 2)
        out = passed(model, clip, 3)

    assert out.positions.tolist() == [3]
    torch.testing.assert_close(out.predictions["depth"], stream[1]["depth"], rtol=1e-4, atol=1e-4)


def test_the_slow_network_sees_supervised_frames_on_request(
    make_model: Callable, make_batch: Callable
) -> None:
    model, clip = make_model(), make_batch(2, 4)
    with torch.no_grad():
        out = passed(model, clip, 2)
        expected = model.slow_predictions(clip.images[out.samples, out.positions])
        without = joint_pass(model, clip.images, clip.frames, train_slow=False, with_slow=False)

    torch.testing.assert_close(out.slow_predictions["depth"], expected["depth"])
    assert without.slow_features is None
    assert not without.slow_predictions


def test_training_reaches_the_fusion_through_all_frames_before(
    make_model: Callable, make_batch: Callable
) -> None:
    clip = make_batch(2, 4)
    gradients = []
    for before in ("fused", "fast"):
        model = make_model(before=before).train()
        passed(model, clip, 1).fused[0].sum().backward()
        gradients.append(model.fusions[0].last.weight.grad)

    assert not torch.allclose(*gradients)
