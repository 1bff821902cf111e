"""Accuracy against the age of the keyframe, a line per method, as SVG; equal inputs, equal bytes.

The same frames are scored at every age; shades are one standard deviation over seeds.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.claims.seeds import Row, Spread, main_key, tasks_of

_INCHES = (9.0, 4.0)
_PANELS = (("semseg", "mean IoU, %"), ("depth", "AbsRel of depth, %"))
# Okabe and Ito's colours, told apart with any kind of colour vision; ILA has the strongest.
_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F")
_MARKS = ("o", "s", "^", "D", "v", "P", "X")


def offset_figure(rows: Sequence[Row], fast: Row | None) -> str:
    """Draw the rows, the slow network above them and the fast one below.

    Args:
        rows: At most seven, the first one in front.
        fast: The fast network alone with the budget of the others; None = as the first row has it.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "mila", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=_INCHES, layout="constrained")
        panels = [(task, label) for task, label in _PANELS if task in tasks_of(rows[0].first)]
        for place, (task, label) in enumerate(panels, start=1):
            axes = figure.add_subplot(1, len(panels), place)
            _bounds(axes, rows[0], fast, task)
            for index, row in reversed(list(enumerate(rows))):
                _line(axes, row, index, task)
            axes.set(xlabel="age of the keyframe, frames", ylabel=label)
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(axis="y", color="0.9", linewidth=0.8)
            axes.set_axisbelow(True)
        handles, labels = axes.get_legend_handles_labels()
        order = sorted(range(len(labels)), key=lambda i: _rank(labels[i], rows))
        figure.legend(
            [handles[i] for i in order],
            [labels[i] for i in order],
            loc="outside lower center",
            ncols=3,
            frameon=False,
        )
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines()) + "\n"


def _line(axes: Any, row: Row, index: int, task: str) -> None:
    ages = range(1, len(row.first["offsets"]["mila"]))
    spreads = [row.over(lambda p, age=age: p["offsets"]["mila"][age][task]) for age in ages]
    colour = _COLOURS[index]
    means = [100 * spread.mean for spread in spreads]
    axes.plot(
        list(ages),
        means,
        color=colour,
        marker=_MARKS[index],
        markersize=4 if index else 5,
        linewidth=2.4 if index == 0 else 1.3,
        label=str(row.first["title"]),
    )
    widths = [100 * (spread.deviation or 0.0) for spread in spreads]
    if any(widths):
        low = [mean - width for mean, width in zip(means, widths, strict=True)]
        high = [mean + width for mean, width in zip(means, widths, strict=True)]
        axes.fill_between(list(ages), low, high, color=colour, alpha=0.15, linewidth=0)


def _bounds(axes: Any, row: Row, fast: Row | None, task: str) -> None:
    slow = row.over(lambda p: _per_frame(p, "slow", task))
    axes.axhline(
        100 * slow.mean, color="black", linestyle="--", linewidth=1.2, label="slow network"
    )
    alone: Spread = (fast or row).over(lambda p: _per_frame(p, "fast", task))
    axes.axhline(
        100 * alone.mean, color="black", linestyle=":", linewidth=1.2, label="fast network alone"
    )


def _per_frame(page: Mapping[str, Any], method: str, task: str) -> float:
    """Main metric of a per-frame network on the frames that are scored at the longest interval."""
    longest = page["by_interval"][max(page["by_interval"], key=int)]
    return float(longest["methods"][method][main_key(task)])


def _rank(label: str, rows: Sequence[Row]) -> int:
    """Order of the legend: the bounds, then the rows."""
    titles = [str(row.first["title"]) for row in rows]
    return titles.index(label) + 1 if label in titles else 0
