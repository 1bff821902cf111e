"""Charts as inline SVG: lines with marks, and bars; the same numbers give the same text.

Colours come from the page's style sheet by class (`c-mila`, `c-slow`, ..), so charts follow light
and dark. Every mark carries its numbers as a tooltip.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

_WIDTH, _HEIGHT = 460, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 18, 14, 46
_BARS_PER_TICK = 10
_LABEL_ROOM = 0.09
"""Share of a chart's height that a label takes."""
SIDES = {
    "above": (0, -10, "middle"),
    "below": (0, 19, "middle"),
    "right above": (8, -4, "start"),
    "right below": (8, 13, "start"),
}
"""Side of a mark -> shift to the right and down, and how its label is aligned."""


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        name: For tooltips.
        style: Class of its colour.
        points: (x, y) in the order they are joined.
        labels: Text beside each mark; empty = none.
        labels_at: Side of the marks on which labels stand, a key of `SIDES`.
        marks: Whether points are drawn as dots.
    """

    name: str
    style: str
    points: Sequence[tuple[float, float]]
    labels: Sequence[str] = field(default=())
    labels_at: str = "below"
    marks: bool = True


@dataclass(frozen=True)
class Axis:
    """One direction of a chart: values low..high are drawn from start to end."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Coordinate of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def line_chart(
    series: Sequence[Series], *, x_label: str, y_label: str, from_zero: bool = False
) -> str:
    """Lines with marks over two linear axes.

    Args:
        series: What is drawn, the last one on top; at least one point in all.
        x_label: Below the chart.
        y_label: Above the vertical axis, in words.
        from_zero: Whether the horizontal axis starts at 0.
    """
    xs = [x for line in series for x, _ in line.points] + ([0.0] if from_zero else [])
    ys = [y for line in series for _, y in line.points]
    across = axis(min(xs), max(xs), _LEFT, _WIDTH - _RIGHT, count=6)
    low, high = _with_room(min(ys), max(ys), {line.labels_at for line in series if line.labels})
    up = axis(low, high, _HEIGHT - _BOTTOM, _TOP + 16, count=5)
    body = [_grid(across, up), _titles(x_label, y_label)]
    body += [_line(line, across, up) for line in series]
    return _svg(body, f"{y_label} against {x_label}")


def _with_room(low: float, high: float, sides: set[str]) -> tuple[float, float]:
    """Limits that leave room for labels below the lowest or above the highest mark."""
    room = _LABEL_ROOM * (high - low)
    is_below = any(SIDES[side][1] > 0 for side in sides)
    is_above = any(SIDES[side][1] < 0 for side in sides)
    return low - room * is_below, high + room * is_above


def bar_chart(
    values: Sequence[float],
    styles: Sequence[str],
    titles: Sequence[str],
    *,
    x_label: str,
    y_label: str,
) -> str:
    """Bars from zero, side by side.

    Args:
        values: Heights, 0 or more.
        styles: Class of each bar's colour.
        titles: Tooltip of each bar.
        x_label: Below the chart.
        y_label: Above the vertical axis.
    """
    width = 2 * _WIDTH
    ticks = tuple(float(tick) for tick in range(0, len(values), _BARS_PER_TICK))
    across = Axis(-0.5, len(values) - 0.5, _LEFT, width - _RIGHT, ticks)
    up = axis(0.0, max(values), _HEIGHT - _BOTTOM, _TOP + 16, count=5)
    step = across.place(1) - across.place(0)
    bars = [
        f'<rect class="{style}" x="{_n(across.place(i) - 0.38 * step)}" y="{_n(up.place(value))}" '
        f'width="{_n(0.76 * step)}" height="{_n(up.place(0) - up.place(value))}">'
        f"<title>{escape(title)}</title></rect>"
        for i, (value, style, title) in enumerate(zip(values, styles, titles, strict=True))
    ]
    body = [_grid(across, up, width), _titles(x_label, y_label, width), *bars]
    return _svg(body, f"{y_label} against {x_label}", width)


def axis(low: float, high: float, start: float, end: float, *, count: int) -> Axis:
    """An axis with round ticks that holds all values between low and high."""
    if high - low < 1e-12:
        margin = abs(high) * 0.1 or 1.0
        low, high = low - margin, high + margin
    step = _round_step((high - low) / count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(i * step for i in range(first, last + 1))
    return Axis(first * step, last * step, start, end, ticks)


def _round_step(step: float) -> float:
    """The next larger of 1, 2, 2.5, 5 times a power of ten."""
    scale = 10.0 ** math.floor(math.log10(step))
    return next(scale * f for f in (1, 2, 2.5, 5, 10) if scale * f >= step * 0.999)


def _line(line: Series, across: Axis, up: Axis) -> str:
    places = [(across.place(x), up.place(y)) for x, y in line.points]
    path = " ".join(f"{_n(x)},{_n(y)}" for x, y in places)
    parts = [f'<polyline class="line {line.style}" points="{path}"/>'] if len(places) > 1 else []
    if line.marks:
        labels = line.labels or [""] * len(places)
        for (x, y), (px, py), label in zip(line.points, places, labels, strict=True):
            told = " ".join(part for part in (line.name, label) if part)
            title = escape(f"{told}: {_short(x)}, {_short(y)}")
            parts.append(
                f'<circle class="mark {line.style}" cx="{_n(px)}" cy="{_n(py)}" r="4.5">'
                f"<title>{title}</title></circle>"
            )
            if label:
                right, down, anchor = SIDES[line.labels_at]
                parts.append(
                    f'<text class="tag" x="{_n(px + right)}" y="{_n(py + down)}" '
                    f'text-anchor="{anchor}">'
                    f"{escape(label)}</text>"
                )
    return "".join(parts)


def _grid(across: Axis, up: Axis, width: int = _WIDTH) -> str:
    lines = []
    for tick in up.ticks:
        y = _n(up.place(tick))
        lines.append(f'<line class="grid" x1="{_LEFT}" x2="{width - _RIGHT}" y1="{y}" y2="{y}"/>')
        lines.append(f'<text class="tick" x="{_LEFT - 8}" y="{y}" dy="4" text-anchor="end">')
        lines.append(f"{_short(tick)}</text>")
    base = _HEIGHT - _BOTTOM
    for tick in across.ticks:
        x = _n(across.place(tick))
        lines.append(f'<text class="tick" x="{x}" y="{base + 18}" text-anchor="middle">')
        lines.append(f"{_short(tick)}</text>")
    return "".join(lines)


def _titles(x_label: str, y_label: str, width: int = _WIDTH) -> str:
    middle = (_LEFT + width - _RIGHT) / 2
    return (
        f'<text class="axis" x="{_n(middle)}" y="{_HEIGHT - 8}" text-anchor="middle">'
        f'{escape(x_label)}</text><text class="axis" x="4" y="{_TOP}">{escape(y_label)}</text>'
    )


def _svg(body: Sequence[str], label: str, width: int = _WIDTH) -> str:
    return (
        f'<svg viewBox="0 0 {width} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        + "".join(body)
        + "</svg>"
    )


def _n(value: float) -> str:
    """A coordinate."""
    return f"{value:.1f}"


def _short(value: float) -> str:
    """A number for people: four digits, no trailing zeros."""
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
