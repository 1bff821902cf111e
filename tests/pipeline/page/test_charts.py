"""Charts: round ticks, marks where the numbers are, text that stays text."""

from __future__ import annotations

import re

import pytest

from pipeline.page.charts import Series, axis, bar_chart, line_chart


@pytest.mark.parametrize(
    "low, high", [(0.0, 1.0), (0.31, 0.47), (-3.0, 17.0), (1e-5, 3e-5), (40.0, 40.0), (0.0, 0.0)]
)
def test_ticks_are_few_and_even_and_hold_the_values(low: float, high: float) -> None:
    result = axis(low, high, 0, 100, count=5)

    steps = [b - a for a, b in zip(result.ticks, result.ticks[1:], strict=False)]
    assert -1e-6 <= result.place(low) <= result.place(high) <= 100 + 1e-6
    assert 2 <= len(result.ticks) <= 8
    assert steps == pytest.approx([steps[0]] * len(steps))
    assert result.place(result.low) == 0
    assert result.place(result.high) == pytest.approx(100)


def marks(svg: str) -> list[tuple[float, float]]:
    found = re.findall(r'<circle[^>]* cx="([\d.]+)" cy="([\d.]+)"', svg)
    return [(float(x), float(y)) for x, y in found]


def test_marks_lie_as_the_numbers_do() -> None:
    svg = line_chart([Series("a", "c-mila", [(0, 0), (1, 5), (2, 10)])], x_label="x", y_label="y")

    (x0, y0), (x1, y1), (x2, y2) = marks(svg)
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert y0 > y2


def test_labels_are_escaped_and_shown() -> None:
    line = Series("a < b", "c-mila", [(0, 1), (1, 2)], labels=["K=1", "<5>"])

    svg = line_chart([line], x_label="x & y", y_label="z")

    assert "<title>a &lt; b K=1: 0, 1</title>" in svg
    assert "&lt;5&gt;</text>" in svg
    assert "x &amp; y" in svg


def test_labels_below_marks_stay_above_the_axis() -> None:
    line = Series("a", "c-mila", [(0, 1), (1, 2)], labels=["one", "two"], labels_at="below")

    svg = line_chart([line], x_label="x", y_label="y")

    tags = [float(y) for y in re.findall(r'class="tag" x="[\d.]+" y="([\d.]+)"', svg)]
    lowest_tick = max(float(y) for y in re.findall(r'class="grid"[^>]* y1="([\d.]+)"', svg))
    assert max(tags) < lowest_tick


def test_bars_stand_on_zero_with_heights_as_the_numbers() -> None:
    svg = bar_chart([1.0, 4.0], ["c-key", "c-mila"], ["one", "two"], x_label="x", y_label="y")

    bars = re.findall(r'<rect class="([\w-]+)"[^>]* y="([\d.]+)"[^>]* height="([\d.]+)"', svg)
    assert [style for style, _, _ in bars] == ["c-key", "c-mila"]
    (low, high) = ((float(y), float(height)) for _, y, height in bars)
    assert high[1] == pytest.approx(4 * low[1], abs=0.3)
    assert sum(low) == pytest.approx(sum(high), abs=0.2)
