"""One loss per kind of task over valid pixels, soft targets, alignment, and their weighted sum.

B images, N classes, C feature channels, H W rows and columns. Source: method section 5; where
MILA is silent the form is our choice and named as such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mila.clip import Labels, Predictions, valid_pixels
from mila.config import LossSettings
from mila.discriminator import Discriminator, reverse_gradient, unit_rms
from mila.tasks import IGNORE_LABEL, TASKS, Kind

_LARGEST_RELATIVE_ERROR = 4.0
_SOFT_STRIDE = 2


def classes_loss(logits: Tensor, labels: Tensor, *, hard_pixels: float = 1.0) -> Tensor:
    """Cross-entropy averaged over the labelled pixels of the batch, or the hardest share of them.

    Args:
        logits: (B, N, H, W).
        labels: Class ids, (B, H, W); 255 is ignored.
        hard_pixels: Share of the labelled pixels that count, the hardest first.
    """
    # Classes last: how channels-last networks give them, and a third of the time of (B, N, H, W).
    scores, ids = logits.movedim(1, -1).flatten(0, -2), labels.flatten()
    labelled = int((ids != IGNORE_LABEL).sum())
    if labelled == 0:
        return logits.sum() * 0.0
    if hard_pixels == 1.0:
        return F.cross_entropy(scores, ids, ignore_index=IGNORE_LABEL)
    per_pixel = F.cross_entropy(scores, ids, ignore_index=IGNORE_LABEL, reduction="none")
    return per_pixel.topk(max(1, int(hard_pixels * labelled))).values.mean()


def depth_loss(depth: Tensor, labels: Tensor) -> Tensor:
    """Half |log depth - log truth|, half |depth / truth - 1| up to 4; mean over valid pixels.

    Our choice in place of L1 on inverse depth: both halves are relative errors, the same near and
    far. The second is the main metric; it counts what is seen behind a near edge in full, where
    the logarithm forgives it.
    """
    valid = labels > 0
    if not valid.any():
        return depth.sum() * 0.0
    ratio = torch.where(valid, depth, 1.0) / torch.where(valid, labels, 1.0)
    relative = (ratio - 1.0).abs().clamp(max=_LARGEST_RELATIVE_ERROR)
    return 0.5 * (ratio.log().abs() + relative).sum() / valid.sum()


def normals_loss(normals: Tensor, labels: Tensor) -> Tensor:
    """Mean of 1 - cosine over pixels that have a normal; (B, 3, H, W) both."""
    valid = labels.abs().sum(dim=1) > 0
    if not valid.any():
        return normals.sum() * 0.0
    return (1.0 - F.cosine_similarity(normals, labels, dim=1))[valid].mean()


class TaskLoss(nn.Module):
    """Weighted sum over tasks; with uncertainty weighting the weights are learned.

    Source of the learned weights: Kendall, Gal and Cipolla, 2018, log-variance per task.
    """

    def __init__(self, tasks: Sequence[str], settings: LossSettings) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        weights: dict[str, float] = {
            "semseg": settings.semseg,
            "depth": settings.depth,
            "normals": settings.normals,
        }
        self.weights = {task: weights[task] for task in self.tasks}
        self.hard_pixels = settings.hard_pixels
        self.log_variance = nn.ParameterDict()
        if settings.task_weighting == "uncertainty":
            self.log_variance.update({t: nn.Parameter(torch.zeros(())) for t in self.tasks})

    def forward(self, predictions: Predictions, labels: Labels) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum over the tasks that have labels, and each task's own loss without weight."""
        parts = {
            task: self._one(TASKS[task].kind, predictions[task], labels[task])
            for task in self.tasks
            if task in labels and bool(valid_pixels(task, labels[task]).any())
        }
        unlabelled = [predictions[task] for task in self.tasks if task not in parts]
        total = sum((p.sum() * 0.0 for p in unlabelled), torch.zeros(()))
        for task, part in parts.items():
            total = total + self._weigh(task, part)
        return total, parts

    def _one(self, kind: Kind, prediction: Tensor, label: Tensor) -> Tensor:
        if kind == "classes":
            return classes_loss(prediction, label, hard_pixels=self.hard_pixels)
        if kind == "depth":
            return depth_loss(prediction, label)
        return normals_loss(prediction, label)

    def _weigh(self, task: str, part: Tensor) -> Tensor:
        weighted = self.weights[task] * part
        if task not in self.log_variance:
            return weighted
        s = self.log_variance[task]
        learned: Tensor = weighted * torch.exp(-s) + 0.5 * s
        return learned


def soft_loss(predictions: Predictions, targets: Predictions) -> Tensor:
    """How far predictions are from the slow network's of the same frame.

    Mean over every second row and column, which are interpolated from coarser maps anyway.
    Classes: KL divergence from the slow probabilities; depth: |log ratio|; normals: 1 - cosine.
    Not in MILA's text.
    """
    total = torch.zeros((), device=next(iter(targets.values())).device)
    for task, full in targets.items():
        target, prediction = _thinned(full), _thinned(predictions[task])
        kind = TASKS[task].kind
        if kind == "classes":
            log_p = prediction.movedim(1, -1).log_softmax(dim=-1)
            log_q = target.movedim(1, -1).log_softmax(dim=-1)
            total = total + (log_q.exp() * (log_q - log_p)).sum(dim=-1).mean()
        elif kind == "depth":
            total = total + (prediction.log() - target.log()).abs().mean()
        else:
            total = total + (1.0 - F.cosine_similarity(prediction, target, dim=1)).mean()
    return total


def _thinned(prediction: Tensor) -> Tensor:
    return prediction[..., ::_SOFT_STRIDE, ::_SOFT_STRIDE]


def feature_l1(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference after dividing every position by its RMS over channels."""
    return (unit_rms(a) - unit_rms(b)).abs().mean()


def discriminator_loss(net: Discriminator, slow: Tensor, fast: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy with slow = 1, fast = 0, and the share decided right (0.5 = aligned).

    Args:
        net: The discriminator.
        slow: Slow features with unit RMS, (B, C, h, w).
        fast: Fast features of the same frames, likewise.
    """
    on_slow, on_fast = net(slow), net(fast)
    loss = F.binary_cross_entropy_with_logits(on_slow, torch.ones_like(on_slow))
    loss = loss + F.binary_cross_entropy_with_logits(on_fast, torch.zeros_like(on_fast))
    right = ((on_slow > 0).float().mean() + (on_fast <= 0).float().mean()) / 2
    return loss, right.detach()


def reversal_loss(
    net: Discriminator, slow: Tensor, fast: Tensor, *, beta: float
) -> tuple[Tensor, Tensor]:
    """One loss for both: the discriminator minimises it, the encoders get -beta times it."""
    return discriminator_loss(
        net, reverse_gradient(unit_rms(slow), beta), reverse_gradient(unit_rms(fast), beta)
    )


def fooling_loss(net: Discriminator, slow: Tensor, fast: Tensor) -> Tensor:
    """Non-saturating loss of the encoders under alternating updates; hold the net's weights.

    The slow term falls away where `slow` carries no gradient.
    """
    on_fast = net(unit_rms(fast))
    loss = F.binary_cross_entropy_with_logits(on_fast, torch.ones_like(on_fast))
    if slow.requires_grad:
        on_slow = net(unit_rms(slow))
        loss = loss + F.binary_cross_entropy_with_logits(on_slow, torch.zeros_like(on_slow))
    return loss


def total_of(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The weighted sum by name."""
    return torch.stack([weights[name] * term for name, term in terms.items()]).sum()
