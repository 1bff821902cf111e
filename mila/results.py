"""What was measured, as one page of plain values: accuracy, cost and time of every method.

The page is written as JSON (`reports/metrics.json`) and read by the report. GMAC: 1e9
multiply-adds, 1 MAC = 1, heads included. Every accuracy is the mean over offsets 0..K-1 of pooled
figures; `worst` is the worst offset, `pooled` counts all offsets together.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mila.cost import ModelCosts
from mila.evaluation import BY_OFFSET, METHODS, STREAMS, Evaluation
from mila.latency import Latency, spread
from mila.metrics import Confusion, Metrics, delta_m
from mila.tasks import LABEL_SETS, TASKS

Page = dict[str, Any]

_GIGA = 1e9


def results_page(evaluation: Evaluation, costs: ModelCosts, latency: Latency) -> Page:
    """Everything that was measured of a model.

    Args:
        evaluation: Counts of every method.
        costs: MACs of one frame on every path, at the size of the scored images.
        latency: Durations of every path.

    Raises:
        ValueError: If no clip is long enough for the interval of the headline.
    """
    headline = evaluation.protocol.interval
    by_interval: dict[str, Page] = {}
    notes: list[str] = []
    for interval in evaluation.protocol.intervals:
        try:
            by_interval[str(interval)] = _interval_page(evaluation, costs, latency, interval)
        except ValueError as error:
            if interval == headline:
                raise
            notes.append(f"{error}; not measured")
    longest = by_interval[max(by_interval, key=int)]["methods"]
    return {
        "keyframe_interval": headline,
        "label_set": evaluation.protocol.label_set,
        **by_interval[str(headline)],
        "by_interval": by_interval,
        "offsets": {method: longest[method]["by_offset"] for method in BY_OFFSET},
        "consistency": {name: evaluation.streams[name].compute() for name in STREAMS},
        "cost": _cost_page(costs),
        "latency": _latency_page(latency),
        "scored": {
            "clips": sum(evaluation.clips.values()),
            "frames": {k: evaluation.scored_frames(int(k)) for k in by_interval},
        },
        "notes": notes,
    }


def main_metrics(page: Mapping[str, Any]) -> dict[str, float]:
    """Task -> its main metric, of one method's part of a page."""
    keys = {task: f"{task}/{row.metric}" for task, row in TASKS.items()}
    return {task: page[key] for task, key in keys.items() if key in page}


def add_delta_m(page: Page, references: Mapping[str, float]) -> None:
    """Write `delta_m` into every method of a page, in place.

    Args:
        page: Made by `results_page`.
        references: Task -> main metric of the single-task slow network on every frame.

    Raises:
        ValueError: If a method has no value for a task.
    """
    for part in (page, *page["by_interval"].values()):
        for figures in part["methods"].values():
            figures["delta_m"] = delta_m(main_metrics(figures), references)


def write_page(path: Path, page: Mapping[str, Any]) -> None:
    """Write a page as JSON; the file appears whole. What is not a number becomes null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(_finite(page), indent=1, allow_nan=False) + "\n")
    partial.replace(path)


def table(page: Mapping[str, Any]) -> str:
    """The headline as a Markdown table."""
    methods = page["methods"]
    keys = [
        f"{t}/{row.metric}" for t, row in TASKS.items() if f"{t}/{row.metric}" in methods["slow"]
    ]
    head = ["method", *keys, "GMAC per frame", "ms mean", "ms max"]
    rows = [
        [
            name,
            *(f"{figures[key]:.4f}" for key in keys),
            f"{figures['gmac_per_frame']:.3f}",
            f"{figures['ms_mean']:.1f}",
            f"{figures['ms_max']:.1f}",
        ]
        for name, figures in methods.items()
    ]
    lines = [" | ".join(row) for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(f"| {line} |" for line in lines)


def gmac_per_frame(costs: ModelCosts, interval: int) -> dict[str, float]:
    """Method -> GMAC of a mean frame at a keyframe interval; copying costs nothing."""
    return {
        "slow": costs.slow / _GIGA,
        "fast": costs.fast / _GIGA,
        "copy": costs.slow / interval / _GIGA,
        "mila": costs.amortised(interval) / _GIGA,
    }


def _interval_page(
    evaluation: Evaluation, costs: ModelCosts, latency: Latency, interval: int
) -> Page:
    macs = gmac_per_frame(costs, interval)
    methods: dict[str, Page] = {}
    for method in METHODS:
        accuracy = _accuracy(evaluation.at(method, interval), evaluation.protocol.label_set)
        if method not in BY_OFFSET:
            del accuracy["by_offset"], accuracy["worst"], accuracy["pooled"]
        methods[method] = {
            **accuracy.pop("mean"),
            "gmac_per_frame": macs[method],
            **_milliseconds(method, latency, interval),
            **accuracy,
        }
    slow = main_metrics(methods["slow"])
    for figures in methods.values():
        figures["change_from_slow"] = delta_m(main_metrics(figures), slow)
    return {"methods": methods, "gmac_saved": 1 - macs["mila"] / macs["slow"]}


def _accuracy(offsets: Sequence[Metrics], label_set: str) -> Page:
    """Figures over the offsets of an interval."""
    by_offset = [metrics.compute() for metrics in offsets]
    pooled = offsets[0]
    for metrics in offsets[1:]:
        pooled.merge(metrics)
    worst = {}
    for task, row in TASKS.items():
        key = f"{task}/{row.metric}"
        if key in by_offset[0]:
            pick = min if row.higher_is_better else max
            worst[key] = pick(figures[key] for figures in by_offset)
    return {
        "mean": {k: sum(f[k] for f in by_offset) / len(by_offset) for k in by_offset[0]},
        "worst": worst,
        "pooled": pooled.compute(),
        "class_iou": {
            task: dict(zip(LABEL_SETS[label_set].names, metric.iou(), strict=True))
            for task, metric in pooled.by_task.items()
            if isinstance(metric, Confusion)
        },
        "by_offset": by_offset,
    }


def _milliseconds(method: str, latency: Latency, interval: int) -> dict[str, float]:
    """Mean and largest duration of a frame; copying takes no time."""
    key, other = {
        "slow": (latency.slow, latency.slow),
        "fast": (latency.fast, latency.fast),
        "copy": (latency.slow, (0.0,)),
        "mila": (latency.keyframes(), latency.non_keyframes()),
    }[method]
    used = [*key, *(other if interval > 1 else ())]
    means = sum(key) / len(key), sum(other) / len(other) if interval > 1 else 0.0
    return {"ms_mean": (means[0] + (interval - 1) * means[1]) / interval, "ms_max": max(used)}


def _cost_page(costs: ModelCosts) -> Page:
    return {f"{name}_gmac": value / _GIGA for name, value in asdict(costs).items()}


def _latency_page(latency: Latency) -> Page:
    groups = {
        "slow": latency.slow,
        "fast": latency.fast,
        "keyframes": latency.keyframes(),
        "non_keyframes": latency.non_keyframes(),
        "mila": [frame.milliseconds for frame in latency.trace],
    }
    spreads = {name: spread(values) for name, values in groups.items()}
    return {
        **{name: asdict(value) for name, value in spreads.items() if value is not None},
        "trace": [asdict(frame) for frame in latency.trace],
    }


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
