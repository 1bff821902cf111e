"""Accuracy of dense predictions as sums that add up over batches, ranks and processes.

B samples, N classes, H W rows and columns. Every figure is pooled over all pixels that count, never
a mean over images. Source: the usual measures of semantic segmentation (PASCAL VOC), of depth
(Eigen et al., arXiv:1406.2283) and of surface normals (Fouhey et al., ICCV 2013).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from mila.clip import Labels, Predictions, valid_pixels
from mila.tasks import IGNORE_LABEL, LABEL_SETS, TASKS, LabelSet

_DEPTH_SUMS = 9
_ANGLES_DEG = (11.25, 22.5, 30.0)


class Metric(Protocol):
    """Counts of one task: what travels is summable, ratios are made at the end."""

    @property
    def sums(self) -> Tensor:
        """The whole state; states of batches and ranks add up."""

    def add(self, prediction: Tensor, label: Tensor) -> None:
        """Count the valid pixels of a batch."""

    def pixels(self) -> int:
        """Pixels counted so far."""

    def compute(self) -> dict[str, float]:
        """The figures, pooled over all pixels; empty if none was counted."""


class Confusion:
    """Pixels counted as (true, predicted) class."""

    def __init__(self, num_classes: int, device: torch.device | str = "cpu") -> None:
        self.sums = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=device)

    def add(self, prediction: Tensor, label: Tensor) -> None:
        """Count a batch.

        Args:
            prediction: Logits (B, N, H, W), or class ids (B, H, W).
            label: Class ids (B, H, W); 255 is ignored.

        Raises:
            ValueError: If a label is neither a class nor the ignored id.
        """
        num_classes = len(self.sums)
        ids = prediction.argmax(dim=1) if prediction.dim() == 4 else prediction
        counted = label != IGNORE_LABEL
        pairs = label[counted].long() * num_classes + ids[counted].long()
        counts = pairs.bincount(minlength=num_classes**2)
        if len(counts) > num_classes**2:
            raise ValueError(
                f"label ids must be below {num_classes} or {IGNORE_LABEL}, got "
                f"{int(label[counted].max())}"
            )
        self.sums += counts.view(num_classes, num_classes).to(self.sums.device)

    def pixels(self) -> int:
        """Pixels counted so far."""
        return int(self.sums.sum())

    def iou(self) -> list[float]:
        """IoU of every class; NaN for classes that do not occur in the truth."""
        hits, true, predicted = self.sums.diag().double(), self.sums.sum(1), self.sums.sum(0)
        ratios = hits / (true + predicted - hits)
        return [float(r) if n else math.nan for r, n in zip(ratios, true, strict=True)]

    def compute(self) -> dict[str, float]:
        """`mean_iou` over the classes that occur in the truth, and `pixel_accuracy`."""
        if not self.pixels():
            return {}
        present = [value for value in self.iou() if not math.isnan(value)]
        return {
            "mean_iou": sum(present) / len(present),
            "pixel_accuracy": float(self.sums.diag().sum()) / self.pixels(),
        }


class DepthErrors:
    """Sums of depth errors; predictions are never rescaled to the truth."""

    def __init__(self, limit: float, device: torch.device | str = "cpu") -> None:
        """Start at zero.

        Args:
            limit: Truth beyond it is left out, predictions are clamped to it; metres.
            device: Where the sums live.
        """
        self._limit = limit
        self.sums = torch.zeros(_DEPTH_SUMS, dtype=torch.float64, device=device)

    def add(self, prediction: Tensor, label: Tensor) -> None:
        """Count a batch.

        Args:
            prediction: Depth above 0, metres, (B, H, W).
            label: True depth, metres, (B, H, W); 0 is ignored.
        """
        counted = (label > 0) & (label <= self._limit)
        true, predicted = label[counted].double(), prediction[counted].double()
        predicted = predicted.clamp(max=self._limit)
        error = (predicted - true).abs()
        ratio = torch.maximum(predicted / true, true / predicted)
        terms = [
            torch.ones_like(true),
            error / true,
            error**2,
            ratio.log() ** 2,
            *((ratio < 1.25**n).double() for n in (1, 2, 3)),
            (1 / predicted - 1 / true).abs(),
            error / predicted,  # = |1/d - 1/d*| d*
        ]
        self.sums += torch.stack([term.sum() for term in terms]).to(self.sums.device)

    def pixels(self) -> int:
        """Pixels counted so far."""
        return int(self.sums[0])

    def compute(self) -> dict[str, float]:
        """Mean errors over the counted pixels.

        `abs_rel`; `rmse_m` in metres; `rmse_log` of natural logarithms; `delta1` to `delta3`, the
        shares with a ratio below 1.25, 1.25^2, 1.25^3; `inverse_abs` in 1/m and `inverse_rel`, the
        errors of inverse depth.
        """
        if not self.pixels():
            return {}
        means = (self.sums[1:] / self.sums[0]).tolist()
        return {
            "abs_rel": means[0],
            "rmse_m": math.sqrt(means[1]),
            "rmse_log": math.sqrt(means[2]),
            "delta1": means[3],
            "delta2": means[4],
            "delta3": means[5],
            "inverse_abs": means[6],
            "inverse_rel": means[7],
        }


class NormalErrors:
    """Sums of the angles between predicted and true surface normals."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.sums = torch.zeros(2 + len(_ANGLES_DEG), dtype=torch.float64, device=device)

    def add(self, prediction: Tensor, label: Tensor) -> None:
        """Count a batch.

        Args:
            prediction: Normals, (B, 3, H, W), any length above 0.
            label: True unit normals, (B, 3, H, W); zero vectors are ignored.
        """
        counted = valid_pixels("normals", label)
        true = label.movedim(1, -1)[counted].double()
        predicted = prediction.movedim(1, -1)[counted].double()
        # The angle by atan2: acos loses all digits where the normals agree.
        sine = torch.linalg.cross(predicted, true).norm(dim=-1)
        angle = torch.rad2deg(torch.atan2(sine, (predicted * true).sum(dim=-1)))
        terms = [torch.ones_like(angle), angle, *((angle < a).double() for a in _ANGLES_DEG)]
        self.sums += torch.stack([term.sum() for term in terms]).to(self.sums.device)

    def pixels(self) -> int:
        """Pixels counted so far."""
        return int(self.sums[0])

    def compute(self) -> dict[str, float]:
        """`mean_angle_deg`, and the shares of pixels within 11.25, 22.5 and 30 degrees."""
        if not self.pixels():
            return {}
        means = (self.sums[1:] / self.sums[0]).tolist()
        names = ("mean_angle_deg", "within_11_25_deg", "within_22_5_deg", "within_30_deg")
        return dict(zip(names, means, strict=True))


class Metrics:
    """One metric per task, added to, merged and computed together."""

    def __init__(self, by_task: Mapping[str, Metric]) -> None:
        self.by_task = dict(by_task)

    def add(self, predictions: Predictions, labels: Labels) -> None:
        """Count a batch; a task without labels, or not predicted, is not counted.

        Args:
            predictions: As a model gives them, or `decided`.
            labels: As in `mila.clip.Labels`.
        """
        for task, metric in self.by_task.items():
            if task in predictions and task in labels:
                metric.add(predictions[task], labels[task])

    def merge(self, other: Metrics) -> None:
        """Add the counts of another part of the data."""
        for mine, theirs in zip(self.tensors(), other.tensors(), strict=True):
            mine += theirs.to(mine.device)

    def tensors(self) -> list[Tensor]:
        """The whole state, to be summed in place over ranks."""
        return [metric.sums for metric in self.by_task.values()]

    def compute(self) -> dict[str, float]:
        """Every figure as `task/metric`; tasks of which no pixel was counted are left out."""
        return {
            f"{task}/{name}": value
            for task, metric in self.by_task.items()
            for name, value in metric.compute().items()
        }


def build_metrics(
    tasks: Sequence[str],
    label_set: str,
    depth_limit: float,
    device: torch.device | str = "cpu",
) -> Metrics:
    """Make the metrics of these tasks, all at zero.

    Args:
        tasks: Names from the table of tasks.
        label_set: Name of the classes of the semantic task.
        depth_limit: Truth beyond it is left out, predictions are clamped to it; metres.
        device: Where the sums live.
    """
    return Metrics(
        {name: _metric(name, LABEL_SETS[label_set], depth_limit, device) for name in tasks}
    )


def _metric(
    task: str, label_set: LabelSet, depth_limit: float, device: torch.device | str
) -> Metric:
    match TASKS[task].kind:
        case "classes":
            return Confusion(len(label_set), device)
        case "depth":
            return DepthErrors(depth_limit, device)
        case "normals":
            return NormalErrors(device)


def decided(predictions: Predictions) -> Predictions:
    """Class ids (B, H, W) uint8 instead of logits; the other tasks as they are."""
    return {
        task: value.argmax(dim=1).to(torch.uint8) if TASKS[task].kind == "classes" else value
        for task, value in predictions.items()
    }


def delta_m(values: Mapping[str, float], references: Mapping[str, float]) -> float:
    """Mean signed change of the tasks' main metrics against single-task references, percent.

    Args:
        values: Main metric of every task.
        references: The same of a single-task network; the tasks of the mean.

    Returns:
        Percent, above 0 is better; NaN if a reference is 0.

    Raises:
        ValueError: If a task has no value.
    """
    missing = sorted(set(references) - set(values))
    if missing or not references:
        raise ValueError(f"delta_m needs a value of every task, missing: {missing or 'all'}")
    changes = [
        (1 if TASKS[task].higher_is_better else -1)
        * ((values[task] - reference) / reference if reference else math.nan)
        for task, reference in references.items()
    ]
    return 100 * sum(changes) / len(changes)
