"""Adaptive keyframes beside fixed ones at equal cost, and the change from single-task networks."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from mila.metrics import delta_m
from mila.tasks import TASKS
from pipeline.claims.markdown import markdown
from pipeline.claims.seeds import Page, Row, Spread, common_seeds, figure, main_key, tasks_of
from pipeline.claims.tables import FIRST, names_of

_SINGLE = {"semseg": "semseg_alone", "depth": "depth_alone"}


def schedule_section(rows: Mapping[str, Row]) -> str:
    """Adaptive schedules of the first page that has some, against fixed ones; empty without."""
    for row in rows.values():
        for seed, page in row.pages.items():
            if "schedules" in page:
                return _schedules(row, seed, page)
    return ""


def _schedules(row: Row, seed: int, page: Page) -> str:
    fixed = [r for r in page["schedules"] if r["schedule"] == "fixed"]
    keys = [main_key(task) for task in tasks_of(page)]
    lines = [
        [
            _name(r),
            f"{r['mean_interval']:.2f}",
            f"{r['gmac_per_frame']:.4f}",
            *_accuracies(r, fixed, keys),
        ]
        for r in sorted(page["schedules"], key=lambda r: -r["gmac_per_frame"])
    ]
    head = ["schedule", "frames per keyframe", "GMAC per frame", *names_of(row)]
    head += names_of(row, "{} against fixed")
    return f"""## Keyframes when attention is lost

{row.first["title"]}, seed {seed}. Whole clips streamed, every labelled frame counts once. A
keyframe comes when the entropy of attention passes a threshold (chosen on the validation split), at
the latest after the longest interval; a frame refreshed this way is paid for twice. The last
columns compare with fixed intervals at the same GMAC, read off between the two nearest ones, in
points. Clips start with a keyframe, so the shorter they are, the less the longest intervals differ.

{markdown(head, lines)}"""


def _name(row: Mapping[str, Any]) -> str:
    if row["schedule"] == "fixed":
        return f"fixed, K = {row['interval']}"
    return f"adaptive, entropy above {row['threshold']:.3f}"


def _accuracies(
    row: Mapping[str, Any], fixed: Sequence[Mapping[str, Any]], keys: Sequence[str]
) -> list[str]:
    cells = [f"{100 * row[key]:.2f}" for key in keys]
    for key in keys:
        between = None if row["schedule"] == "fixed" else interpolated(fixed, row, key)
        cells.append("-" if between is None else f"{100 * (row[key] - between):+.2f}")
    return cells


def interpolated(
    fixed: Sequence[Mapping[str, Any]], row: Mapping[str, Any], key: str
) -> float | None:
    """A figure of fixed schedules at the cost of a row, linear in cost; None beyond their range."""
    cost = row["gmac_per_frame"]
    ranked = sorted(fixed, key=lambda r: r["gmac_per_frame"])
    for low, high in itertools.pairwise(ranked):
        a, b = low["gmac_per_frame"], high["gmac_per_frame"]
        if a <= cost <= b and b > a:
            share = (cost - a) / (b - a)
            return float((1 - share) * low[key] + share * high[key])
    return None


def single_task_section(rows: Mapping[str, Row]) -> str:
    """Delta_m of the multi-task networks against slow networks of one task; empty without these."""
    if any(name not in rows for name in _SINGLE.values()):
        return ""
    ila, singles = rows[FIRST], {task: rows[name] for task, name in _SINGLE.items()}
    seeds = common_seeds(ila, *singles.values())
    if not seeds:
        return ""
    interval = ila.first["keyframe_interval"]
    lines = []
    for method in ("slow", "mila", "fast"):
        changes = [_delta_m(ila.pages[s], singles, s, method, interval) for s in seeds]
        lines.append([method, Spread(tuple(changes)).text(digits=2, sign=True), str(len(seeds))])
    for task, row in singles.items():
        key = main_key(task)
        value = row.over(lambda p, key=key: figure(p, "slow", interval, key), seeds)
        text = f"{value.text(scale=100, digits=2)} % (its {TASKS[task].metric})"
        lines.append([f"slow, {task} alone", text, str(len(seeds))])
    return f"""## Two tasks in one network

Delta_m: mean relative change of the main measures from slow networks of one task each, trained like
the shared one; percent, above 0 is better. K = {interval}.

{markdown(["", "Delta_m, %", "seeds"], lines)}"""


def _delta_m(
    page: Page, singles: Mapping[str, Row], seed: int, method: str, interval: int
) -> float:
    keys = {task: main_key(task) for task in singles}
    values = {task: figure(page, method, interval, key) for task, key in keys.items()}
    references = {
        task: figure(row.pages[seed], "slow", interval, keys[task]) for task, row in singles.items()
    }
    return delta_m(values, references)
