"""Muon: steps against their definition, and who takes them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.optim import AdamW

from mila.config import StageSettings
from mila.training.muon import MuonAdamW, orthogonalised
from mila.training.optim import build_optimizer, build_schedule


def nearest_orthogonal(matrix: Tensor) -> Tensor:
    """The definition: all singular values become 1."""
    u, _, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    return u @ v


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 6, 3), nn.Flatten())


def gradients_of(model: nn.Module, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=random)


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16)])
def test_directions_are_nearly_orthogonal_and_keep_their_singular_vectors(
    shape: tuple[int, int],
) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))

    out = orthogonalised(matrix)

    values = torch.linalg.svdvals(out.double())
    assert out.shape == matrix.shape
    assert values.min() > 0.6
    assert values.max() < 1.3
    wanted = nearest_orthogonal(matrix)
    alike = (out.double() * wanted).sum() / (out.double().norm() * wanted.norm())
    assert alike > 0.97


@pytest.mark.parametrize("decades", [0, 3, 9])
def test_directions_equal_iterations_taken_one_by_one(decades: int) -> None:
    random = torch.Generator().manual_seed(3)
    sizes = torch.logspace(0, -decades, 24, dtype=torch.float64)
    u, v = (torch.linalg.qr(torch.randn(n, 24, generator=random).double()).Q for n in (24, 216))
    matrix = (u * sizes) @ v.T
    x = matrix / matrix.norm()

    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x

    assert (orthogonalised(matrix).double() - x).norm() < 2e-3 * x.norm()


def test_directions_do_not_depend_on_the_size_of_the_gradient() -> None:
    matrix = torch.randn(6, 20, generator=torch.Generator().manual_seed(2))

    torch.testing.assert_close(orthogonalised(1e-3 * matrix), orthogonalised(matrix))
    assert torch.equal(orthogonalised(0 * matrix), torch.zeros(6, 20))


def test_steps_follow_the_definition() -> None:
    model = net()
    stage = StageSettings(optimizer="muon", learning_rate=0.1, weight_decay=0.5)
    optimizer = build_optimizer([model], stage)
    kernel = model[2].weight
    expected, momentum = kernel.detach().clone(), torch.zeros_like(kernel)

    for seed in range(3):
        gradients_of(model, seed)
        gradient = kernel.grad
        assert isinstance(gradient, Tensor)
        momentum = 0.95 * momentum + gradient
        flat = (gradient + 0.95 * momentum).reshape(6, 72)
        step = 0.2 * math.sqrt(72) * orthogonalised(flat).reshape(kernel.shape)
        expected = (1 - 0.1 * 0.5) * expected - 0.1 * step
        optimizer.step()

    torch.testing.assert_close(kernel.detach(), expected)


def test_a_step_is_as_large_as_one_of_adamw() -> None:
    model = net()
    before = model[2].weight.detach().clone()
    optimizer = build_optimizer(
        [model], StageSettings(optimizer="muon", learning_rate=0.1, weight_decay=0.0)
    )

    gradients_of(model, 0)
    optimizer.step()

    size = (model[2].weight.detach() - before).square().mean().sqrt()
    assert 0.1 * 0.1 < float(size) < 0.1 * 0.4


def test_all_but_hidden_kernels_move_as_with_adamw() -> None:
    ours, plain = net(), net()
    stage = StageSettings(learning_rate=0.01)
    muon = build_optimizer([ours], stage.model_copy(update={"optimizer": "muon"}))
    adamw = build_optimizer([plain], stage)

    for seed in range(3):
        for model, optimizer in ((ours, muon), (plain, adamw)):
            gradients_of(model, seed)
            optimizer.step()

    same = [
        name
        for (name, a), b in zip(ours.named_parameters(), plain.parameters(), strict=True)
        if torch.equal(a, b)
    ]
    assert same == ["0.weight", "0.bias", "1.weight", "1.bias", "2.bias"]
    assert isinstance(muon, MuonAdamW)
    assert type(adamw) is AdamW


def test_the_schedule_moves_the_rate_of_every_group() -> None:
    stage = StageSettings(optimizer="muon", updates=10, warmup=0.0)
    optimizer = build_optimizer([net()], stage)
    schedule = build_schedule(optimizer, stage)

    for _ in range(10):
        optimizer.step()
        schedule.step()

    assert len(optimizer.param_groups) == 3
    assert all(group["lr"] == pytest.approx(0.0) for group in optimizer.param_groups)


def test_a_closure_is_refused() -> None:
    with pytest.raises(ValueError, match="takes no closure"):
        build_optimizer([net()], StageSettings(optimizer="muon")).step(lambda: 0.0)
