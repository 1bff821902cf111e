"""One update: which terms the joint loss has, and what the two players do to each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from mila.clip import Clip
from mila.config import LossSettings
from mila.discriminator import Discriminator, unit_rms
from mila.losses import TaskLoss, discriminator_loss, feature_l1, fooling_loss, reversal_loss
from mila.model import Mila
from mila.training.update import Hardware, Players, joint_losses

HARDWARE = Hardware(torch.device("cpu"), autocast=None, world_size=1, clip_gradient=1.0)
OFF = {"soft": 0.0, "fused": 0.0, "align": 0.0, "propagated": 0.0, "adversary": "none"}


def losses(model: Mila, clip: Clip, **settings: object):
    loss = LossSettings(**{**OFF, **settings})
    players = Players(TaskLoss(model.tasks, loss), optimizer=None)
    with torch.no_grad():
        return joint_losses(model, clip, players, loss, HARDWARE)


@pytest.mark.parametrize("term", ["soft", "fused", "align", "propagated"])
def test_a_term_counts_with_its_weight(
    term: str, make_model: Callable[..., Mila], make_batch: Callable[..., Clip]
) -> None:
    model, clip = make_model(), make_batch(2, 2)
    bare = losses(model, clip)

    weighed = losses(model, clip, **{term: 0.7})

    assert term not in bare.parts
    assert weighed.parts[term] > 0
    torch.testing.assert_close(weighed.loss, bare.loss + 0.7 * weighed.parts[term])


def test_the_slow_network_sees_supervised_frames_only_where_a_term_needs_it(
    make_model: Callable[..., Mila], make_batch: Callable[..., Clip]
) -> None:
    model, clip = make_model(), make_batch(2, 2)
    seen: list[int] = []
    model.slow.encoder.register_forward_pre_hook(lambda _, images: seen.append(len(images[0])))

    losses(model, clip)
    for term in ({"soft": 0.5}, {"fused": 0.5}, {"align": 0.1}, {"gradient": "fast"}):
        losses(model, clip, **term)

    assert seen == [2, 4, 4, 4, 4]


def test_several_frames_of_a_clip_count_alike(
    make_model: Callable[..., Mila], make_batch: Callable[..., Clip]
) -> None:
    """The loss of two supervised frames is the mean of each alone: as many pixels count in both."""
    model, clip = make_model(kind="copy"), make_batch(2, 3)
    loss = LossSettings(**OFF)

    def of(clip: Clip, supervised: int) -> float:
        players = Players(TaskLoss(model.tasks, loss), optimizer=None, supervised=supervised)
        with torch.no_grad():
            return float(joint_losses(model, clip, players, loss, HARDWARE).loss)

    labels = {task: label[:, :2] for task, label in clip.labels.items()}
    first = Clip(clip.images[:, :2], labels, clip.frames[:, :2], clip.keys)
    assert of(clip, 2) == pytest.approx((of(first, 1) + of(clip, 1)) / 2, rel=1e-5)


def test_propagated_and_fused_features_are_held_against_slow_ones(
    make_model: Callable[..., Mila], make_batch: Callable[..., Clip]
) -> None:
    model, clip = make_model(task_specific=True), make_batch(2, 2)

    done = losses(model, clip, propagated=1.0, fused=1.0)

    for maps, term in ((done.out.propagated, "propagated"), (done.out.fused, "fused")):
        near = [feature_l1(m, done.out.slow_features) for m in maps]
        assert len(near) == len(model.tasks)
        torch.testing.assert_close(done.parts[term], sum(near) / len(near))


def features(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 8, 6, 6, generator=generator)


def test_reversal_sends_the_encoder_the_opposite_way() -> None:
    torch.manual_seed(0)
    net = Discriminator(8)
    slow, fast = features(0), features(1).requires_grad_()
    plain, _ = discriminator_loss(net, unit_rms(slow), unit_rms(fast))
    (expected,) = torch.autograd.grad(plain, fast)

    loss, _ = reversal_loss(net, slow, fast, beta=0.3)
    (gradient,) = torch.autograd.grad(loss, fast, retain_graph=True)
    own = torch.autograd.grad(loss, list(net.parameters()))

    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(gradient, -0.3 * expected)
    plain, _ = discriminator_loss(net, unit_rms(slow), unit_rms(fast))
    for mine, theirs in zip(own, torch.autograd.grad(plain, list(net.parameters())), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_fooling_makes_fast_features_look_slow() -> None:
    torch.manual_seed(0)
    net = Discriminator(8).requires_grad_(False)
    fast = features(1).requires_grad_()
    before = net(unit_rms(fast)).mean()

    (gradient,) = torch.autograd.grad(fooling_loss(net, features(0), fast), fast)

    assert net(unit_rms(fast - 0.1 * gradient / gradient.norm())).mean() > before


def test_spectral_norm_bounds_the_discriminator() -> None:
    torch.manual_seed(0)
    bounded, free = Discriminator(8, spectral=True), Discriminator(8)
    for net in (bounded, free):
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.05)
        for _ in range(60):
            optimizer.zero_grad()
            discriminator_loss(net, unit_rms(features(0)), unit_rms(features(1)))[0].backward()
            optimizer.step()

    def largest(net: Discriminator) -> float:
        return max(
            float(torch.linalg.matrix_norm(net.body[i].weight.detach().flatten(1), 2))
            for i in (0, 2)
        )

    assert largest(bounded) < 1.1
    assert largest(free) > 2
