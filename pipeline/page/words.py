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
        scale: Times this, the number has the unit of the title.
        digits: After the point.
        higher_is_better: Direction.
    """

    key: str
    title: str
    plain: str
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
    "mean_iou": ("Mean IoU, %", "mean IoU", 100.0, 1),
    "abs_rel": ("Depth error (AbsRel), %", "relative depth error", 100.0, 2),
    "mean_angle_deg": ("Angle of normals, degrees", "angle of the normals", 1.0, 1),
}

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
            title, plain, scale, digits = _TEXTS[row.metric]
            found.append(Measure(key, title, plain, scale, digits, row.higher_is_better))
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
    values = f"{ours:.{measure.digits}f} against {theirs:.{measure.digits}f}"
    return f"its {measure.plain} is {values}"
