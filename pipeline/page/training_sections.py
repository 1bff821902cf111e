"""Sections on what came before the results: training curves and the sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mila.tasks import TASKS
from pipeline.page.charts import Series, line_chart
from pipeline.page.html import cards, legend, table

Page = Mapping[str, Any]

_COLUMNS = {
    "keyframe_interval": "Keyframe every",
    "radius": "Radius of attention",
    "val/semseg/mean_iou": "Mean IoU",
    "val/depth/abs_rel": "Depth error (AbsRel)",
    "gmac_per_frame": "GMAC per frame",
}
_STAGES = 3
"""Colours for stages."""


def training_charts(page: Page) -> str:
    """Loss and main validation metrics against updates, a line per stage."""
    curves = page["curves"]
    names = ["loss", *(f"val/{task}/{row.metric}" for task, row in TASKS.items())]
    charts = []
    for name in names:
        series = [
            Series(stage, f"c-stage{i % _STAGES}", [(x, y) for x, y in metrics[name]], marks=False)
            for i, (stage, metrics) in enumerate(curves.items())
            if metrics.get(name)
        ]
        if series:
            chart = line_chart(series, x_label="updates", y_label=name.removeprefix("val/"))
            charts.append((_title(name), chart))
    stages = [(f"c-stage{i % _STAGES}", f"{stage} stage") for i, stage in enumerate(curves)]
    return legend(stages) + cards(charts)


def sweep_table(rows: Sequence[Page]) -> str:
    """One row per trial; columns are what differs between trials, of accuracy the main metrics."""
    trials = [flat(row) for row in rows]
    main = {f"val/{task}/{row.metric}" for task, row in TASKS.items()}
    found = dict.fromkeys(name for trial in trials for name in trial)
    names = [name for name in found if name in main or not name.startswith("val/")]
    shown = [n for n in names if len(trials) == 1 or len({str(t.get(n)) for t in trials}) > 1]
    cells = [[escape(_text(trial.get(name))) for name in shown] for trial in trials]
    return table([_COLUMNS.get(name, name.replace("_", " ")) for name in shown], cells)


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Plain values of a tree by their path; lists are left out."""
    values: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            values |= flat(value, f"{prefix}{key}.")
        elif not isinstance(value, Sequence) or isinstance(value, str):
            values[f"{prefix}{key}"] = value
    return values


def _title(name: str) -> str:
    return f"Validation: {name.removeprefix('val/')}" if name.startswith("val/") else "Loss"


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
