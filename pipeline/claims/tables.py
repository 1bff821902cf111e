"""A table per claim, as Markdown: mean and sample standard deviation over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mila.tasks import TASKS
from pipeline.claims.markdown import markdown
from pipeline.claims.seeds import (
    Page,
    Row,
    Spread,
    away,
    common_seeds,
    figure,
    main_key,
    tasks_of,
)

FIRST = "ila"
"""The row that all others are compared with."""
CLAIM = "claim"
"""The row that is held against the bounds, trained longer than the others; where there is none, the
first."""
_SHORT = {"semseg": "mIoU", "depth": "AbsRel"}


def names_of(row: Row, text: str = "{}, %") -> list[str]:
    """Short names of the main measures of a row's tasks, as heads of columns."""
    return [text.format(_SHORT.get(task, task)) for task in tasks_of(row.first)]


def cost_table(ila: Row, rows: Mapping[str, Row], interval: int) -> str:
    """The slow network, MILA and the bounds, at the headline interval; MILA at all of them."""
    head = ["", *names_of(ila), "GMAC per frame", "saved, %", "seeds"]
    lines = [_accuracy("slow network on every frame", ila, "slow", interval)]
    intervals = [int(k) for k in ila.first["by_interval"] if int(k) > 1]
    lines += [_accuracy(f"MILA, K = {k}", ila, "mila", k) for k in intervals]
    lines.append(_accuracy(f"keyframes copied, K = {interval}", ila, "copy", interval))
    lines.append(_accuracy("fast network on every frame", ila, "fast", interval))
    for row in rows.values():
        if row.first["group"] == "bounds":
            lines.append(_accuracy(str(row.first["title"]), row, row.method, interval))
    return markdown(head, lines)


def propagation_table(ila: Row, others: Sequence[Row], intervals: Sequence[int]) -> str:
    """ILA and its peers: accuracy away from keyframes, and what the module costs."""
    head = ["propagation"]
    for k in intervals:
        head += names_of(ila, f"{{}}, %, K = {k}")
    head += ["module, GMAC", "ILA / module, %", "seeds"]
    own = float(ila.first["cost"]["propagation_gmac"])
    lines = []
    for row in (ila, *others):
        module = float(row.first["cost"]["propagation_gmac"])
        cells = [str(row.first["title"])]
        for k in intervals:
            for task in tasks_of(ila.first):
                spread = row.over(lambda p, k=k, task=task: away(p, "mila", k, task))
                cells.append(spread.text(scale=100, digits=2))
        share = f"{100 * own / module:.0f}" if module and row is not ila else "-"
        lines.append([*cells, f"{module:.4f}", share, _seeds(row)])
    return markdown(head, lines)


def better_table(ila: Row, others: Sequence[Row], intervals: Sequence[int]) -> str:
    """ILA minus each peer, seed by seed; above 0 is better for ILA in both columns."""
    head = ["ILA against"]
    for k in intervals:
        head += [*names_of(ila, f"{{}} points, K = {k}"), f"better, K = {k}"]
    lines = []
    for row in others:
        seeds = common_seeds(ila, row)
        if not seeds:
            continue
        cells = [f"{row.first['title']} ({len(seeds)})"]
        for k in intervals:
            gains = [_gain(ila, row, k, task, seeds) for task in tasks_of(ila.first)]
            cells += [gain.text(scale=100, digits=2, sign=True) for gain in gains]
            cells.append(" / ".join(is_better(gain) for gain in gains))
        lines.append(cells)
    return markdown(head, lines)


def change_table(ila: Row, others: Sequence[Row], interval: int) -> str:
    """Rows that change ILA's training or form, as differences to the first row, seed by seed."""
    keys = [main_key(task) for task in tasks_of(ila.first)]
    head = ["row", "what", *names_of(ila), *names_of(ila, "{}, change"), "GMAC per frame", "seeds"]
    lines = []
    for row in (ila, *others):
        page = row.first
        cells = [str(page["title"]), str(page["about"])]
        cells += [
            row.over(lambda p, key=key: _at(p, "mila", interval, key)).text(scale=100, digits=2)
            for key in keys
        ]
        seeds = common_seeds(ila, row)
        for key in keys:
            if row is ila or not seeds:
                cells.append("-")
                continue
            changes = tuple(
                _at(row.pages[s], "mila", interval, key) - _at(ila.pages[s], "mila", interval, key)
                for s in seeds
            )
            cells.append(Spread(changes).text(scale=100, digits=2, sign=True))
        cells += [f"{_at(page, 'mila', interval, 'gmac_per_frame'):.4f}", _seeds(row)]
        lines.append(cells)
    return markdown(head, lines)


def steadiness_table(rows: Sequence[Row]) -> str:
    """Agreement of neighbouring frames along the true motion, at the headline interval."""
    head = ["", "mIoU between frames, %", "change of log depth", "seeds"]
    first = rows[0]
    lines = [_steady(name, first, name) for name in ("truth", "slow")]
    lines += [_steady(str(row.first["title"]), row, "mila") for row in rows]
    return markdown(head, lines)


def _steady(title: str, row: Row, stream: str) -> list[str]:
    classes = row.over(lambda p: p["consistency"][stream]["semseg/consistency"])
    depth = row.over(lambda p: p["consistency"][stream]["depth/log_change"])
    return [title, classes.text(scale=100, digits=2), depth.text(digits=4), _seeds(row)]


def _accuracy(title: str, row: Row, method: str, interval: int) -> list[str]:
    spreads = [
        row.over(lambda p, task=task: _at(p, method, interval, main_key(task)))
        for task in tasks_of(row.first)
    ]
    macs = _at(row.first, method, interval, "gmac_per_frame")
    slow = _at(row.first, "slow", interval, "gmac_per_frame")
    cells = [spread.text(scale=100, digits=2) for spread in spreads]
    return [title, *cells, f"{macs:.4f}", f"{100 * (1 - macs / slow):.1f}", _seeds(row)]


def _gain(ila: Row, other: Row, interval: int, task: str, seeds: Sequence[int]) -> Spread:
    sign = 1 if TASKS[task].higher_is_better else -1
    pairs = [(ila.pages[seed], other.pages[seed]) for seed in seeds]
    return Spread(
        tuple(
            sign * (away(a, "mila", interval, task) - away(b, "mila", interval, task))
            for a, b in pairs
        )
    )


def is_better(gain: Spread) -> str:
    """Better in every seed pair, or by more than the spread; a single seed decides nothing."""
    if gain.deviation is None:
        return "one seed"
    is_better = min(gain.values) > 0 or gain.mean > gain.deviation
    is_worse = max(gain.values) < 0 or -gain.mean > gain.deviation
    return "yes" if is_better else "no, worse" if is_worse else "undecided"


def _at(page: Page, method: str, interval: int, key: str) -> float:
    return figure(page, method, interval, key)


def _seeds(row: Row) -> str:
    return str(len(row.pages))
