"""Temporal consistency: does a prediction agree with the one before, moved along with the picture?

B samples, H W rows and columns. Flow is backward: pixel p of the current frame was at p + flow in
the frame before; NaN where it was hidden or outside. Only pixels seen in both frames count. The
truth itself is not perfectly consistent (depth changes as the camera moves, labels are sampled), so
every figure is read beside the truth's own. Source: the measure of Liu et al., arXiv:2002.11433,
with exact flow and for depth as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mila.clip import Predictions
from mila.metrics import Confusion
from mila.tasks import IGNORE_LABEL, LABEL_SETS, TASKS


def warp_previous(previous: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Look up the frame before at the place every pixel came from, by its nearest pixel.

    Args:
        previous: Values of the frame before, (B, H, W).
        flow: Backward flow in pixels, x before y, (B, 2, H, W).

    Returns:
        The values moved to the current frame, (B, H, W), and where they exist, bool (B, H, W);
        elsewhere the value means nothing.
    """
    batch, height, width = previous.shape
    device = flow.device
    x = torch.arange(width, device=device) + flow[:, 0]
    y = torch.arange(height, device=device)[:, None] + flow[:, 1]
    known = x.isfinite() & y.isfinite()
    column, row = (torch.where(known, v, v.new_tensor(-1)).round().long() for v in (x, y))
    visible = known & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    index = torch.where(visible, row * width + column, 0).view(batch, -1)
    return previous.reshape(batch, -1).gather(1, index).view_as(previous), visible


class Consistency:
    """Sums of the agreement between neighbouring frames; they add up over clips and ranks.

    Tasks of kind classes give the mean IoU of a frame against the one before, tasks of kind depth
    the mean |log d - log d_before|. Normals are not compared: they turn with the camera.
    """

    def __init__(self, tasks: Sequence[str], label_set: str, depth_limit: float) -> None:
        """Start at zero.

        Args:
            tasks: Names from the table of tasks.
            label_set: Name of the classes of the semantic task.
            depth_limit: Depths beyond it, in either frame, are clamped to it; metres.
        """
        self._limit = depth_limit
        num_classes = len(LABEL_SETS[label_set])
        self.classes = {t: Confusion(num_classes) for t in tasks if TASKS[t].kind == "classes"}
        self.depths = {
            t: torch.zeros(2, dtype=torch.float64) for t in tasks if TASKS[t].kind == "depth"
        }

    def add(self, previous: Predictions, current: Predictions, flow: Tensor) -> None:
        """Count one pair of frames for every sample.

        Args:
            previous: Ids and metres of the frame before, (B, H, W): decided predictions or labels.
            current: The same of the current frame; a task missing in either is not counted.
            flow: Backward flow of the current frame, pixels, (B, 2, H, W).
        """
        for task, confusion in self.classes.items():
            if task in previous and task in current:
                before, visible = warp_previous(previous[task].long(), flow)
                now = current[task].long()
                visible = visible & (now != IGNORE_LABEL)
                confusion.add(now, torch.where(visible, before, IGNORE_LABEL))
        for task, sums in self.depths.items():
            if task in previous and task in current:
                before, visible = warp_previous(previous[task], flow)
                counted = visible & (before > 0) & (current[task] > 0)
                now = current[task][counted].double().clamp(max=self._limit)
                change = (now.log() - before[counted].double().clamp(max=self._limit).log()).abs()
                sums += torch.stack([change.new_tensor(len(change)), change.sum()]).to(sums.device)

    def merge(self, other: Consistency) -> None:
        """Add the counts of another part of the data."""
        for mine, theirs in zip(self.tensors(), other.tensors(), strict=True):
            mine += theirs.to(mine.device)

    def tensors(self) -> list[Tensor]:
        """The whole state, to be summed in place over ranks."""
        return [*(confusion.sums for confusion in self.classes.values()), *self.depths.values()]

    def compute(self) -> dict[str, float]:
        """`task/consistency` (mean IoU) and `task/log_change` of the tasks with counted pixels."""
        figures: dict[str, float] = {}
        for task, confusion in self.classes.items():
            if confusion.pixels():
                figures[f"{task}/consistency"] = confusion.compute()["mean_iou"]
        for task, sums in self.depths.items():
            if sums[0] > 0:
                figures[f"{task}/log_change"] = float(sums[1] / sums[0])
        return figures
