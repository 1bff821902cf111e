"""Losses against their definitions, written out in float64 over single pixels."""

import math

import pytest
import torch
from torch import Tensor

from mila.config import LossSettings
from mila.losses import TaskLoss, classes_loss, depth_loss, normals_loss, soft_loss


@pytest.fixture
def logits() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(2, 5, 4, 6, dtype=torch.float64, requires_grad=True)


@pytest.fixture
def labels() -> Tensor:
    torch.manual_seed(1)
    ids = torch.randint(0, 5, (2, 4, 6))
    ids[:, 0] = 255
    return ids


def pixel_losses(logits: Tensor, labels: Tensor) -> list[Tensor]:
    """-log softmax of the true class, pixel by pixel, labelled pixels only."""
    losses = []
    for b, y, x in (labels != 255).nonzero().tolist():
        scores = logits[b, :, y, x]
        losses.append(torch.logsumexp(scores, 0) - scores[labels[b, y, x]])
    return losses


def test_classes_loss_is_mean_cross_entropy_over_labelled_pixels(
    logits: Tensor, labels: Tensor
) -> None:
    wanted = torch.stack(pixel_losses(logits, labels)).mean()
    torch.testing.assert_close(classes_loss(logits, labels), wanted)


def test_the_memory_layout_of_logits_changes_nothing(logits: Tensor, labels: Tensor) -> None:
    other = logits.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    first, second = classes_loss(logits, labels), classes_loss(other, labels)
    first.backward()
    second.backward()
    assert torch.equal(first, second)
    torch.testing.assert_close(logits.grad, other.grad)


def test_hard_pixels_are_the_worst_of_the_labelled_ones(logits: Tensor, labels: Tensor) -> None:
    worst = sorted((p.item() for p in pixel_losses(logits, labels)), reverse=True)
    count = int(0.25 * len(worst))
    got = classes_loss(logits, labels, hard_pixels=0.25)
    assert float(got) == pytest.approx(sum(worst[:count]) / count)


def test_depth_loss_halves_log_and_clipped_relative_error() -> None:
    depth = torch.tensor([[[2.0, 10.0, 60.0, 7.0]]], dtype=torch.float64, requires_grad=True)
    truth = torch.tensor([[[4.0, 10.0, 5.0, 0.0]]], dtype=torch.float64)
    loss = depth_loss(depth, truth)
    loss.backward()
    wanted = (0.5 * (math.log(2) + 0.5) + 0.0 + 0.5 * (math.log(12) + 4.0)) / 3
    assert float(loss) == pytest.approx(wanted)
    assert depth.grad is not None
    assert float(depth.grad[0, 0, 3]) == 0.0  # unknown depth teaches nothing
    assert float(depth.grad[0, 0, 2]) == pytest.approx(0.5 / 60 / 3)  # beyond the clip: log alone


@pytest.mark.parametrize("task", ["semseg", "depth", "normals"])
def test_without_any_label_the_loss_is_zero_and_so_is_its_gradient(task: str) -> None:
    prediction = torch.rand(1, 3, 2, 2).add(1.0).requires_grad_()
    loss = {
        "semseg": lambda p: classes_loss(p, torch.full((1, 2, 2), 255)),
        "depth": lambda p: depth_loss(p[:, 0], torch.zeros(1, 2, 2)),
        "normals": lambda p: normals_loss(p, torch.zeros(1, 3, 2, 2)),
    }[task](prediction)
    loss.backward()
    assert float(loss) == 0.0
    assert not prediction.grad.any()


def test_normals_loss_is_one_minus_cosine() -> None:
    normals = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).T.reshape(1, 3, 1, 2)
    truth = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]).T.reshape(1, 3, 1, 2)
    assert float(normals_loss(normals, truth)) == pytest.approx(0.5)


def test_soft_loss_is_divergence_from_the_slow_network_on_every_second_pixel() -> None:
    torch.manual_seed(2)
    got, slow = (torch.randn(1, 3, 4, 4, dtype=torch.float64) for _ in range(2))
    wanted = 0.0
    for y in (0, 2):
        for x in (0, 2):
            p, q = got[0, :, y, x].softmax(0), slow[0, :, y, x].softmax(0)
            wanted += float((q * (q.log() - p.log())).sum()) / 4
    assert float(soft_loss({"semseg": got}, {"semseg": slow})) == pytest.approx(wanted)
    assert float(soft_loss({"semseg": got}, {"semseg": got})) == 0.0


def test_task_loss_weighs_tasks_and_a_task_without_labels_gets_zero_gradient() -> None:
    settings = LossSettings(semseg=2.0, depth=3.0)
    loss = TaskLoss(("semseg", "depth"), settings)
    logits = torch.randn(1, 19, 2, 2, requires_grad=True)
    depth = torch.full((1, 2, 2), 4.0, requires_grad=True)
    ids, metres = torch.zeros(1, 2, 2, dtype=torch.long), torch.full((1, 2, 2), 2.0)
    predictions = {"semseg": logits, "depth": depth}

    total, parts = loss(predictions, {"semseg": ids, "depth": metres})
    torch.testing.assert_close(total, 2 * parts["semseg"] + 3 * parts["depth"])

    total, parts = loss(predictions, {"semseg": ids, "depth": torch.zeros(1, 2, 2)})
    total.backward()
    assert list(parts) == ["semseg"]
    assert logits.grad is not None
    assert depth.grad is not None
    assert logits.grad.any()
    assert not depth.grad.any()
