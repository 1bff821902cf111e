"""The joint stage's pass over clips: a keyframe, then the frames that are propagated to.

B clips, R frames of a clip after its keyframe, N supervised frames of the batch, C feature
channels, H W image rows and columns, h w feature rows and columns. Made of what `Mila.step` is made
of, so that both give the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from mila.clip import Predictions
from mila.encoders import Features, normalise
from mila.model import Mila
from mila.per_frame import image_size
from mila.propagation import Propagated, PropagationMemory
from mila.propagation.select import features_of, memory_of, take, take_all
from mila.warping import through


@dataclass(frozen=True)
class JointOutput:
    """What one pass gives for the supervised frames of a batch.

    Attributes:
        samples: Which clip each of them is of, (N,).
        positions: Which frame of its clip, (N,).
        predictions: By the non-keyframe path.
        propagated: Z, one map per task (the same for all without TS).
        fused: Y, one map per task (one for all without TS).
        fast_features: The fast encoder's maps.
        slow_features: The slow encoder's maps; None unless asked for.
        slow_predictions: The slow network's; empty unless asked for.
    """

    samples: Tensor
    positions: Tensor
    predictions: Predictions
    propagated: tuple[Tensor, ...]
    fused: tuple[Tensor, ...]
    fast_features: Tensor
    slow_features: Tensor | None
    slow_predictions: Predictions


@dataclass(frozen=True)
class _Answered:
    """What the fast path made of some frames: rows of a batch."""

    propagated: Propagated
    fused: tuple[Tensor, ...]
    features: Features


def joint_pass(
    model: Mila,
    images: Tensor,
    frames: Tensor,
    *,
    train_slow: bool,
    supervised: int = 1,
    with_slow: bool = True,
    flow: Tensor | None = None,
) -> JointOutput:
    """One training pass.

    Args:
        model: The model.
        images: Keyframe and the frames after it, (B, 1 + R, 3, H, W). A walk that begins before its
            keyframe has the keyframe in place of those frames.
        frames: Their indices in the video, (B, 1 + R).
        train_slow: Whether the slow network gets a gradient.
        supervised: How many frames at the end of each clip are answered; those that lie before
            their keyframe are left out.
        with_slow: Whether the slow network sees the supervised frames too.
        flow: Exact backward flow of every frame to the one before it, (B, 1 + R, 2, H, W); for
            `exact_flow` only.
    """
    size = image_size(images[:, 0])
    ages = (frames[:, 1:] - frames[:, :1]).to(images.device)
    samples, positions = _supervised(ages, supervised)
    key_image = normalise(images[:, 0])
    slow_seen = [key_image]
    if with_slow:
        slow_seen.append(normalise(images[samples, positions + 1]))
    with torch.set_grad_enabled(train_slow and torch.is_grad_enabled()):
        slow = model.slow.encoder(torch.cat(slow_seen)).high
        slow_key, slow_now = slow[: len(key_image)], slow[len(key_image) :]
        slow_predictions = model.slow.read(slow_now, size) if with_slow else {}
    memory = model.start(key_image, slow_key)
    if model.settings.propagation.attends_frame_before:
        answered = _walked(model, memory, images[:, 1:], ages)
        answered = _chosen(answered, positions * len(ages) + samples)
    else:
        answered = _at_once(model, memory, images, ages, (samples, positions), flow)
    return JointOutput(
        samples=samples,
        positions=positions + 1,
        predictions=model.answer(answered.propagated, answered.fused, size),
        propagated=answered.propagated.maps,
        fused=answered.fused,
        fast_features=answered.features.high,
        slow_features=slow_now if with_slow else None,
        slow_predictions=slow_predictions,
    )


def _supervised(ages: Tensor, supervised: int) -> tuple[Tensor, Tensor]:
    """Clips of the frames that count and their positions in the walk, (N,), oldest frames first."""
    first = max(ages.shape[1] - supervised, 0)
    positions, samples = torch.nonzero((ages[:, first:] >= 1).T, as_tuple=True)
    return samples, positions + first


def _at_once(
    model: Mila,
    memory: PropagationMemory,
    images: Tensor,
    ages: Tensor,
    rows: tuple[Tensor, Tensor],
    flow: Tensor | None,
) -> _Answered:
    """Frames that depend on nothing but their keyframe: all in one batch."""
    samples, positions = rows
    to_key = None
    if flow is not None:
        to_key = _flow_to_key(flow[:, 1:])[samples, positions]
    offset = ages[samples, positions]
    image = normalise(images[samples, positions + 1])
    features, current = model.fast_both(image, offset, to_key)
    propagated = model.propagation.step(memory_of(memory, samples), current)
    return _Answered(propagated, model.fuse(propagated, features, offset), features)


def _walked(model: Mila, memory: PropagationMemory, images: Tensor, ages: Tensor) -> _Answered:
    """Frames that look at the frame before: one after the other, as a stream does; R B of them."""
    # One batch of all frames, oldest first: the batch statistics are those of all ages.
    image = normalise(images.transpose(0, 1).flatten(0, 1))
    features, current = model.fast_both(image, ages.T.flatten())
    steps: list[Propagated] = []
    fused: list[tuple[Tensor, ...]] = []
    for rows in torch.arange(ages.numel(), device=ages.device).view_as(ages.T).unbind():
        now = features_of(current, rows)
        seen = Features(take(features.high, rows), take(features.low, rows))
        assert now.offset is not None
        steps.append(model.propagation.step(memory, now))
        fused.append(model.fuse(steps[-1], seen, now.offset))
        memory = model.advance(memory, now, steps[-1], fused[-1], present=now.offset >= 1)
    propagated = Propagated(
        maps=_one_batch([step.maps for step in steps]),
        hints=torch.cat([step.hints for step in steps]),
    )
    return _Answered(propagated, _one_batch(fused), features)


def _one_batch(maps: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Maps of several frames, one after the other; maps that are one tensor stay one."""
    joined: dict[int, Tensor] = {}
    for parts in zip(*maps, strict=True):
        if id(parts[0]) not in joined:
            joined[id(parts[0])] = torch.cat(parts)
    return tuple(joined[id(first)] for first in maps[0])


def _chosen(answered: _Answered, rows: Tensor) -> _Answered:
    """Some of the frames."""
    propagated, features = answered.propagated, answered.features
    return _Answered(
        propagated=Propagated(take_all(propagated.maps, rows), take(propagated.hints, rows)),
        fused=take_all(answered.fused, rows),
        features=Features(take(features.high, rows), take(features.low, rows)),
    )


def _flow_to_key(flow: Tensor) -> Tensor:
    """Flow of every frame to the one before it -> to the keyframe, (B, R, 2, H, W)."""
    return torch.stack(list(accumulate(flow.unbind(dim=1), through)), dim=1)
