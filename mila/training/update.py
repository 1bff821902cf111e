"""One optimisation step: clips -> losses -> both players' updates -> numbers.

B clips, T frames of a clip, C feature channels, h w feature rows and columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW

from mila.clip import Clip
from mila.config import LossSettings
from mila.discriminator import Discriminator, unit_rms
from mila.joint import JointOutput, joint_pass
from mila.losses import (
    TaskLoss,
    discriminator_loss,
    feature_l1,
    fooling_loss,
    reversal_loss,
    soft_loss,
    total_of,
)
from mila.model import Mila
from mila.per_frame import PerFrame
from mila.training.optim import average_gradients, parameters_of


@dataclass(frozen=True)
class Hardware:
    """Where and how numbers are computed.

    Attributes:
        device: Of the networks.
        autocast: Type of the fast arithmetic, or None for plain float32.
        world_size: Ranks that average their gradients.
        clip_gradient: Largest norm of the gradient.
    """

    device: torch.device
    autocast: torch.dtype | None
    world_size: int
    clip_gradient: float

    def arithmetic(self) -> torch.autocast:
        """Context in which networks run."""
        return torch.autocast(
            self.device.type,
            dtype=self.autocast or torch.bfloat16,
            enabled=self.autocast is not None,
        )


@dataclass(frozen=True)
class Players:
    """Everything but the networks that an update moves.

    Attributes:
        task_loss: Weighs the tasks; its weights may be learned.
        optimizer: Of the networks.
        discriminator: The second player, in the joint stage with an adversary.
        second: The discriminator's optimizer.
        beta: Weight of the adversarial term now.
        teacher: Network whose predictions are soft targets of a per-frame network.
        distil: Their weight.
        supervised: Joint stage: frames at the end of each clip that are supervised.
    """

    task_loss: TaskLoss
    optimizer: AdamW
    discriminator: Discriminator | None = None
    second: AdamW | None = None
    beta: float = 0.0
    teacher: PerFrame | None = None
    distil: float = 0.0
    supervised: int = 1


@dataclass(frozen=True)
class JointLosses:
    """What one forward pass of the joint stage costs.

    Attributes:
        loss: The weighted sum that is minimised.
        parts: Every term without its weight, for the record.
        out: The pass itself.
    """

    loss: Tensor
    parts: dict[str, Tensor]
    out: JointOutput


def joint_losses(
    model: Mila, clip: Clip, players: Players, settings: LossSettings, hardware: Hardware
) -> JointLosses:
    """Losses of the joint stage on clips: a keyframe and the frames after it.

    Supervision and alignment act on the last `players.supervised` frames of every clip. Terms that
    need slow features, soft targets or slow heads there let the slow network see those frames too.
    """
    trains_slow = settings.gradient != "frozen"
    with hardware.arithmetic():
        out = joint_pass(
            model,
            clip.images,
            clip.frames,
            train_slow=trains_slow,
            supervised=players.supervised,
            with_slow=settings.needs_slow,
            flow=clip.flow,
        )
    labels = clip.labels_of(out.samples, out.positions)
    task, parts = players.task_loss(out.predictions, labels)
    terms: dict[str, Tensor] = {"task": task}
    weights: dict[str, float] = {"task": 1.0}
    if trains_slow:
        terms["slow"], _ = players.task_loss(out.slow_predictions, labels)
        weights["slow"] = settings.slow
    if settings.soft > 0:
        targets = {k: v.detach() for k, v in out.slow_predictions.items()}
        terms["soft"], weights["soft"] = soft_loss(out.predictions, targets), settings.soft
    if out.slow_features is not None:
        _add_feature_terms(terms, weights, out, settings)
        parts.update(_add_adversary(terms, weights, out, players, settings))
    return JointLosses(total_of(terms, weights), {**terms, **parts}, out)


def _aligned(out: JointOutput, settings: LossSettings) -> Tensor:
    """Slow features of the supervised frames, with gradient where the slow network gets one."""
    assert out.slow_features is not None
    return out.slow_features if settings.gradient == "both" else out.slow_features.detach()


def _add_feature_terms(
    terms: dict[str, Tensor], weights: dict[str, float], out: JointOutput, settings: LossSettings
) -> None:
    """Distances of feature maps to the slow network's."""
    slow = _aligned(out, settings)
    if settings.fused > 0:
        terms["fused"] = torch.stack([feature_l1(y, slow.detach()) for y in out.fused]).mean()
        weights["fused"] = settings.fused
    if settings.propagated > 0:
        near = [feature_l1(z, slow.detach()) for z in out.propagated]
        terms["propagated"], weights["propagated"] = torch.stack(near).mean(), settings.propagated
    if settings.align > 0:
        terms["align"], weights["align"] = feature_l1(slow, out.fast_features), settings.align


def _add_adversary(
    terms: dict[str, Tensor],
    weights: dict[str, float],
    out: JointOutput,
    players: Players,
    settings: LossSettings,
) -> dict[str, Tensor]:
    """The adversarial term, if there is one; gives what is only recorded."""
    net, slow = players.discriminator, _aligned(out, settings)
    if net is None or settings.adversary == "none":
        return {}
    if settings.adversary == "reversal":
        terms["adversary"], right = reversal_loss(net, slow, out.fast_features, beta=players.beta)
        weights["adversary"] = 1.0
        return {"discriminator_accuracy": right}
    net.requires_grad_(False)
    terms["adversary"] = fooling_loss(net, slow, out.fast_features)
    net.requires_grad_(True)
    weights["adversary"] = players.beta
    return {}


def step(loss: Tensor, optimizer: AdamW, second: AdamW | None, hardware: Hardware) -> float:
    """Backward, average over ranks, clip, move; gives the gradient's norm.

    Raises:
        FloatingPointError: If the gradient is not finite; nothing has moved then.
    """
    loss.backward()  # type: ignore[no-untyped-call]
    players = [optimizer] if second is None else [optimizer, second]
    norms: list[float] = []
    for player in players:
        parameters = parameters_of(player)
        average_gradients(parameters, hardware.world_size)
        norms.append(float(clip_grad_norm_(parameters, hardware.clip_gradient)))
    if not all(math.isfinite(norm) for norm in norms):
        raise FloatingPointError(
            f"gradient norm is {norms[0]}; the loss was {float(loss.detach())}"
        )
    for player in players:
        player.step()
        player.zero_grad(set_to_none=True)
    return norms[0]


def discriminator_step(
    net: Discriminator, out: JointOutput, optimizer: AdamW, hardware: Hardware
) -> Tensor:
    """The discriminator's own alternating move; gives its share of right decisions."""
    assert out.slow_features is not None
    slow, fast = unit_rms(out.slow_features.detach()), unit_rms(out.fast_features.detach())
    loss, right = discriminator_loss(net, slow, fast)
    step(loss, optimizer, None, hardware)
    return right


def update_joint(
    model: Mila, clip: Clip, players: Players, settings: LossSettings, hardware: Hardware
) -> dict[str, float]:
    """One update of the joint stage; gives its numbers."""
    losses = joint_losses(model, clip, players, settings, hardware)
    reversal = settings.adversary == "reversal"
    second = players.second
    norm = step(losses.loss, players.optimizer, second if reversal else None, hardware)
    parts = losses.parts
    if players.discriminator is not None and second is not None and not reversal:
        right = discriminator_step(players.discriminator, losses.out, second, hardware)
        parts = {**parts, "discriminator_accuracy": right}
    return _numbers(losses.loss, norm, parts)


def update_per_frame(
    net: PerFrame, clip: Clip, players: Players, hardware: Hardware
) -> dict[str, float]:
    """One update of a per-frame network; gives its numbers. The clip holds one frame."""
    with hardware.arithmetic():
        predictions = net(clip.images[:, 0])
    loss, parts = players.task_loss(predictions, clip.labels_at(0))
    if players.teacher is not None:
        with torch.no_grad(), hardware.arithmetic():
            targets = players.teacher(clip.images[:, 0])
        parts["soft"] = soft_loss(predictions, targets)
        loss = loss + players.distil * parts["soft"]
    norm = step(loss, players.optimizer, None, hardware)
    return _numbers(loss, norm, parts)


def _numbers(loss: Tensor, norm: float, parts: dict[str, Tensor]) -> dict[str, float]:
    named = {name: float(value.detach()) for name, value in parts.items()}
    return {"loss": float(loss.detach()), "gradient_norm": norm, **named}
