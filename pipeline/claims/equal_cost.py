"""ILA beside its peers at the same multiply-adds: a dearer module could have had more keyframes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mila.tasks import TASKS
from pipeline.claims.markdown import markdown
from pipeline.claims.schedules import interpolated
from pipeline.claims.seeds import Page, Row, Spread, common_seeds, figure, main_key, tasks_of
from pipeline.claims.tables import is_better, names_of

_COST = "gmac_per_frame"


def equal_cost_section(ila: Row, others: Sequence[Row], interval: int) -> str:
    """Every peer at the headline interval, against ILA read off at the same cost."""
    lines = [line for row in others if (line := _line(ila, row, interval))]
    if not lines:
        return ""
    head = ["propagation", "GMAC per frame", "saved, %", *names_of(ila)]
    head += [*names_of(ila, "ILA's gain, {} points"), "ILA better"]
    return f"""### At equal cost

Each at K = {interval}, keyframes included. ILA gets keyframes as often as makes a mean frame cost
the same, read off between its two nearest intervals; gains seed by seed, above 0 is better for ILA.

{markdown(head, lines)}"""


def _line(ila: Row, row: Row, interval: int) -> list[str]:
    seeds = common_seeds(ila, row)
    gains = {task: _gains(ila, row, seeds, interval, task) for task in tasks_of(ila.first)}
    if not seeds or any(gain is None for gain in gains.values()):
        return []
    cost = figure(row.first, "mila", interval, _COST)
    saved = 100 * (1 - cost / figure(row.first, "slow", interval, _COST))
    own = [
        row.over(lambda p, task=task: figure(p, "mila", interval, main_key(task))).text(
            scale=100, digits=2
        )
        for task in gains
    ]
    spreads = [gain for gain in gains.values() if gain is not None]
    told = [spread.text(scale=100, digits=2, sign=True) for spread in spreads]
    verdict = " / ".join(is_better(spread) for spread in spreads)
    return [str(row.first["title"]), f"{cost:.4f}", f"{saved:.1f}", *own, *told, verdict]


def _gains(ila: Row, row: Row, seeds: Sequence[int], interval: int, task: str) -> Spread | None:
    """ILA's gain over a row at the row's cost, over seeds; None where ILA has no such cost."""
    values = []
    for seed in seeds:
        other = row.pages[seed]
        at = {_COST: figure(other, "mila", interval, _COST)}
        own = interpolated(_curve(ila.pages[seed], task), at, main_key(task))
        if own is None:
            return None
        sign = 1 if TASKS[task].higher_is_better else -1
        values.append(sign * (own - figure(other, "mila", interval, main_key(task))))
    return Spread(tuple(values)) if values else None


def _curve(page: Page, task: str) -> list[Mapping[str, Any]]:
    """Cost and accuracy of every fixed interval; interval 1 is the slow network."""
    key = main_key(task)
    return [
        {_COST: figure(page, method, int(k), _COST), key: figure(page, method, int(k), key)}
        for k in page["by_interval"]
        for method in (("slow",) if int(k) == 1 else ("mila",))
    ]
