"""How numbers are named and written for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mila.tasks import TASKS


@dataclass(frozen=True)
class Measure:
    """A main metric as people read it.

    Attributes:
        key: `task/metric`, as in the results.
        title: Of charts and table columns, unit included.
        plain: In a sentence.
        unit: Behind a number.
        scale: Times this, the number has the unit of the title.
        digits: After the point.
        higher_is_better: Direction.
    """

    key: str
    title: str
    plain: str
    unit: str
    scale: float
    digits: int
    higher_is_better: bool

    def of(self, figures: Mapping[str, Any]) -> float:
        """Value in the unit of the title."""
        return float(figures[self.key]) * self.scale

    def text(self, figures: Mapping[str, Any]) -> str:
        """Value as it is written."""
        return f"{self.of(figures):.{self.digits}f}"


_TEXTS = {
    "mean_iou": ("Mean IoU, %", "mean IoU", " %", 100.0, 1),
    "abs_rel": ("Depth error (AbsRel), %", "relative depth error", " %", 100.0, 1),
    "mean_angle_deg": ("Angle of normals, degrees", "error of the normals", "°", 1.0, 1),
}

TASK_NAMES = {"semseg": "Segmentation", "depth": "Depth", "normals": "Surface normals"}
"""Task -> its name on the page."""

METHODS = {
    "slow": "Slow network on every frame",
    "fast": "Fast network on every frame",
    "copy": "Keyframe copied",
    "mila": "MILA",
}
"""Method -> its name on the page."""


def measures(figures: Mapping[str, Any]) -> list[Measure]:
    """The main metrics that one method's figures have, in the order of the table of tasks."""
    found = []
    for task, row in TASKS.items():
        key = f"{task}/{row.metric}"
        if key in figures:
            found.append(Measure(key, *_TEXTS[row.metric], row.higher_is_better))
    return found


def direction(measure: Measure) -> str:
    """Which way is better, for a chart's title."""
    return "higher is better" if measure.higher_is_better else "lower is better"


def headline(page: Mapping[str, Any]) -> str:
    """The result in one or two sentences."""
    interval, methods = page["keyframe_interval"], page["methods"]
    parts = [_compared(m, methods["mila"], methods["slow"]) for m in measures(methods["mila"])]
    frames = "every frame" if interval == 1 else f"one frame in {interval}"
    return (
        f"With the slow network on {frames}, MILA needs {100 * page['gmac_saved']:.0f} % fewer "
        f"multiply-adds than the slow network on every frame; {' and '.join(parts)}."
    )


def _compared(measure: Measure, mila: Mapping[str, Any], slow: Mapping[str, Any]) -> str:
    ours, theirs = measure.of(mila), measure.of(slow)
    values = f"{ours:.{measure.digits}f}{measure.unit} against {theirs:.{measure.digits}f}"
    values += measure.unit
    return f"its {measure.plain} is {values}"
