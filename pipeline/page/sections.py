"""Sections of the report: each takes pages of results and gives a piece of HTML."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from pipeline.page.charts import Series, bar_chart, line_chart
from pipeline.page.html import cards, dot, legend, share_bar, table, tile, wide_card
from pipeline.page.words import METHODS, TASK_NAMES, Measure, direction, headline, measures

Page = Mapping[str, Any]


def top(page: Page) -> str:
    """The result in words and in four large numbers."""
    methods = page["methods"]
    tiles = [tile(f"{100 * page['gmac_saved']:.0f} %", "fewer multiply-adds per frame")]
    for measure in measures(methods["mila"]):
        others = ", ".join(
            f"{words} {measure.text(methods[name])}{measure.unit}"
            for name, words in (("slow", "slow network"), ("fast", "fast"), ("copy", "copied"))
        )
        words = f"{measure.plain}, {direction(measure)}; {others}"
        tiles.append(tile(f"{measure.text(methods['mila'])}{measure.unit}", words))
    latency = page["latency"]
    if "non_keyframes" in latency:
        faster = latency["slow"]["median"] / latency["non_keyframes"]["median"]
        tiles.append(
            tile(f"{faster:.1f} times", "as fast as the slow network, between keyframes (median)")
        )
    return f'<p class="lead">{headline(page)}</p><div class="tiles">{"".join(tiles)}</div>'


def method_table(page: Page) -> str:
    """The methods at the interval of the headline."""
    methods = page["methods"]
    shown = measures(methods["slow"])
    head = ["", *(m.title for m in shown)]
    head += [f"worst offset, {m.title}" for m in shown]
    head += ["GMAC per frame", "ms mean", "ms max"]
    rows = []
    for name, figures in methods.items():
        worst = figures.get("worst")
        row = [dot(f"c-{name}", METHODS[name]), *(m.text(figures) for m in shown)]
        row += [m.text(worst) if worst else "" for m in shown]
        row += [f"{figures['gmac_per_frame']:.3f}"]
        row += [f"{figures['ms_mean']:.1f}", f"{figures['ms_max']:.1f}"]
        rows.append(row)
    return table(head, rows)


def interval_table(page: Page) -> str:
    """MILA and the copied keyframe at every interval."""
    first = next(iter(page["by_interval"].values()))["methods"]["slow"]
    shown = measures(first)
    head = ["Keyframe every", "GMAC saved"]
    head += [f"{METHODS[name]}: {m.title}" for m in shown for name in ("mila", "copy")]
    rows = []
    for interval, part in page["by_interval"].items():
        methods = part["methods"]
        frames = "frame" if interval == "1" else f"{interval} frames"
        row = [frames, f"{100 * part['gmac_saved']:.1f} %"]
        row += [m.text(methods[name]) for m in shown for name in ("mila", "copy")]
        rows.append(row)
    return table(head, rows)


def method_legend() -> str:
    """The colours of the methods."""
    return legend([(f"c-{name}", words) for name, words in METHODS.items()])


def cost_charts(page: Page) -> str:
    """Accuracy against GMAC per frame, one chart per task."""
    return cards(
        [
            (
                f"{measure.title} against cost",
                line_chart(
                    [
                        _cost_series(page, "copy", measure),
                        _cost_series(page, "mila", measure),
                        _cost_series(page, "fast", measure),
                        _cost_series(page, "slow", measure),
                    ],
                    x_label="GMAC per frame",
                    y_label=f"{measure.title} ({direction(measure)})",
                    from_zero=True,
                ),
            )
            for measure in measures(page["methods"]["slow"])
        ]
    )


def _cost_series(page: Page, method: str, measure: Measure) -> Series:
    """One dot for methods that see every frame alone, else a dot per interval."""
    if method in ("slow", "fast"):
        figures = page["methods"][method]
        point = (figures["gmac_per_frame"], measure.of(figures))
        return Series(METHODS[method], f"c-{method}", [point])
    parts = [(k, part["methods"][method]) for k, part in page["by_interval"].items()]
    parts = [(interval, figures) for interval, figures in parts if interval != "1"]
    return Series(
        METHODS[method],
        f"c-{method}",
        [(figures["gmac_per_frame"], measure.of(figures)) for _, figures in parts],
        labels=[f"K={k}" if place == 0 else k for place, (k, _) in enumerate(parts)],
        labels_at=_label_side(method, measure),
    )


def _label_side(method: str, measure: Measure) -> str:
    """The side on which a curve's labels meet no curve: MILA's is the better and flatter one."""
    if method == "mila":
        return "above" if measure.higher_is_better else "below"
    return "right below" if measure.higher_is_better else "right above"


def offset_charts(page: Page) -> str:
    """Accuracy against the age of the keyframe, one chart per task."""
    charts = []
    for measure in measures(page["methods"]["slow"]):
        last = len(page["offsets"]["mila"]) - 1
        series = []
        for method in ("fast", "slow"):
            level = measure.of(page["methods"][method])
            ends = [(0.0, level), (float(last), level)]
            series.append(Series(METHODS[method], f"c-{method} level", ends, marks=False))
        for method in ("copy", "mila"):
            points = [(o, measure.of(f)) for o, f in enumerate(page["offsets"][method])]
            series.append(Series(METHODS[method], f"c-{method}", points))
        chart = line_chart(
            series,
            x_label="frames since the keyframe",
            y_label=f"{measure.title} ({direction(measure)})",
        )
        charts.append((f"{measure.title} against the keyframe's age", chart))
    return cards(charts)


def latency_chart(page: Page) -> str:
    """Milliseconds of every frame of one video, keyframes in their own colour."""
    trace = page["latency"]["trace"]
    chart = bar_chart(
        [frame["milliseconds"] for frame in trace],
        ["c-key" if frame["keyframe"] else "c-mila" for frame in trace],
        [
            f"frame {i}, {'keyframe' if f['keyframe'] else 'not a keyframe'}: "
            f"{f['milliseconds']:.1f} ms"
            for i, f in enumerate(trace)
        ],
        x_label="frames of one video",
        y_label="milliseconds",
    )
    names = {
        "slow": "Slow network, every frame",
        "fast": "Fast network, every frame",
        "keyframes": "MILA, keyframes",
        "non_keyframes": "MILA, other frames",
        "mila": "MILA, all frames",
    }
    rows = [
        [name, *(f"{page['latency'][key][s]:.1f}" for s in ("mean", "median", "p95", "max"))]
        for key, name in names.items()
        if key in page["latency"]
    ]
    words = table(["", "ms mean", "median", "95 %", "max"], rows)
    return legend([("c-key", "keyframe"), ("c-mila", "other frame")]) + wide_card(chart) + words


def class_table(page: Page) -> str:
    """IoU of every class that occurs, slow beside MILA, as bars."""
    parts = []
    for task, ours in page["methods"]["mila"]["class_iou"].items():
        theirs = page["methods"]["slow"]["class_iou"][task]
        rows = [
            [escape(name), share_bar(theirs[name], "c-slow"), share_bar(value, "c-mila")]
            for name, value in ours.items()
            if value is not None and theirs[name] is not None
        ]
        parts.append(table([f"{TASK_NAMES[task]}: class", "Slow, IoU %", "MILA, IoU %"], rows))
    return "".join(parts)


def consistency_table(page: Page) -> str:
    """How neighbouring frames agree; empty where no flow was given."""
    names = {
        "truth": "The labels themselves",
        "slow": METHODS["slow"],
        "mila": METHODS["mila"],
        "mila_refresh": "MILA, where a new keyframe begins",
    }
    keys = sorted({key for figures in page["consistency"].values() for key in figures})
    if not keys:
        return ""
    titles = [key.replace("/", ": ").replace("_", " ") for key in keys]
    rows = [
        [names[stream], *(f"{figures[key]:.4f}" if key in figures else "" for key in keys)]
        for stream, figures in page["consistency"].items()
    ]
    return table(["", *titles], rows)
