"""Kept pages of a grid, by row and seed, and figures with their spread over seeds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mila.tasks import TASKS

Page = Mapping[str, Any]

_NEEDED = ("row", "seed", "group", "title", "method", "by_interval", "command", "commit", "date")


@dataclass(frozen=True)
class Spread:
    """A figure over seeds.

    Attributes:
        values: One per seed, in the order of the seeds; at least one.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over seeds; None for a single one."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def text(self, *, scale: float = 1.0, digits: int = 1, sign: bool = False) -> str:
        """Mean and deviation as they are written; a figure that no seed changes has none."""
        mean = f"{self.mean * scale:{'+' if sign else ''}.{digits}f}"
        if self.deviation is None or len(set(self.values)) == 1:
            return mean
        return f"{mean} ± {self.deviation * scale:.{digits}f}"


@dataclass(frozen=True)
class Row:
    """One row of the grid with all its pages.

    Attributes:
        name: In the grid file.
        pages: By seed, ascending.
    """

    name: str
    pages: Mapping[int, Page]

    @property
    def first(self) -> Page:
        """The page of the first seed: what all seeds share is read here."""
        return next(iter(self.pages.values()))

    @property
    def method(self) -> str:
        """Whose figures are the row's own."""
        return str(self.first["method"])

    def over(self, value: Callable[[Page], float], seeds: Sequence[int] = ()) -> Spread:
        """A figure of every page, of all seeds or of some."""
        return Spread(tuple(value(self.pages[seed]) for seed in (seeds or self.pages)))


def read_rows(folder: Path) -> dict[str, Row]:
    """All pages of a folder, by row.

    Raises:
        ValueError: If there are none, one is not a kept page, or two rows differ in their data.
    """
    by_row: dict[str, dict[int, Page]] = {}
    data: dict[str, Path] = {}
    for path in sorted(folder.glob("*.json")):
        page = _page(path)
        by_row.setdefault(page["row"], {})[page["seed"]] = page
        data.setdefault(f"{page['data']['fingerprint']} {page['data']['split']}", path)
    if not by_row:
        raise ValueError(f"{folder}: no pages of results there; run flows/grid.py first")
    if len(data) > 1:
        one, other = list(data.values())[:2]
        raise ValueError(f"{other}: scored on other data than {one}; they do not fit in one table")
    return {
        name: Row(name, {seed: pages[seed] for seed in sorted(pages)})
        for name, pages in by_row.items()
    }


def common_seeds(*rows: Row) -> list[int]:
    """Seeds that all rows have."""
    return sorted(set.intersection(*(set(row.pages) for row in rows)))


def tasks_of(page: Page) -> list[str]:
    """The tasks that the page has figures of: a data set may lack labels of one."""
    interval = str(page["keyframe_interval"])
    figures = page["by_interval"][interval]["methods"]["slow"]
    return [task for task in TASKS if main_key(task) in figures]


def main_key(task: str) -> str:
    """Name of a task's main metric on a page."""
    return f"{task}/{TASKS[task].metric}"


def figure(page: Page, method: str, interval: int, key: str) -> float:
    """A figure of a method: its mean over the offsets of an interval."""
    return float(page["by_interval"][str(interval)]["methods"][method][key])


def away(page: Page, method: str, interval: int, task: str) -> float:
    """Main metric of a task, mean over the offsets 1..interval-1: keyframes left out.

    A keyframe has the figure of the slow network.
    """
    key = main_key(task)
    mean = figure(page, method, interval, key)
    if method not in page["offsets"]:
        return mean
    return (interval * mean - figure(page, "slow", interval, key)) / (interval - 1)


def _page(path: Path) -> Page:
    try:
        page = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    missing = [key for key in _NEEDED if not isinstance(page, dict) or key not in page]
    if missing:
        raise ValueError(f"{path}: expected a page of flows/grid.py, {missing[0]!r} is missing")
    kept: Page = page
    return kept
