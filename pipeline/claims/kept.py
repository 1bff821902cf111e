"""How much accuracy is kept, beside the bounds of the method's claim.

Bounds: at 70 % fewer multiply-adds mean IoU within 1.0 point and the depth error within 2 % of the
slow network on every frame, no age of the keyframe more than 2.5 points behind; at 80 % fewer,
mean IoU within 2.0 points. The slow network is MILA's own, and one trained as many updates further
as MILA's joint stage, where the grid has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.claims.markdown import markdown
from pipeline.claims.seeds import Page, Row, Spread, figure, main_key, tasks_of

SLOW_TOTAL = "slow_total"
"""The row of the slow network that was trained on."""
_LARGER_SAVING = 80.0


@dataclass(frozen=True)
class _Line:
    """One bound and what was measured, against each reference."""

    name: str
    unit: str
    bound: float
    measured: tuple[Spread, ...]

    def cells(self) -> list[str]:
        told = [f"{spread.text(digits=2)} {self.unit}" for spread in self.measured]
        kept = all(spread.mean <= self.bound for spread in self.measured)
        return [self.name, *told, f"{self.bound:g} {self.unit}", verdict(kept)]


def kept_accuracy(ila: Row, rows: Mapping[str, Row], interval: int) -> str:
    """How far MILA lies behind the slow network, beside the bounds."""
    head = [f"K = {interval}", "behind its own slow network"]
    references: list[Page | None] = [None]
    if SLOW_TOTAL in rows:
        references.append(rows[SLOW_TOTAL].first)
        head.append(f"behind the {rows[SLOW_TOTAL].first['title']}")
    lines = [line.cells() for line in _lines(ila, references, interval)]
    saved = ila.over(lambda p: _saved(p, interval))
    measured = [f"{saved.mean:.1f} %"] * len(references)
    lines.append(["multiply-adds saved", *measured, "70 %", verdict(saved.mean >= 70)])
    return markdown([*head, "bound", "met"], lines)


def _lines(ila: Row, references: Sequence[Page | None], interval: int) -> list[_Line]:
    def over(value: str, k: int) -> tuple[Spread, ...]:
        return tuple(ila.over(lambda p, r=r: _VALUES[value](p, r or p, k)) for r in references)

    lines = [_Line("mean IoU", "points", 1.0, over("semseg", interval))]
    if "depth" in tasks_of(ila.first):
        lines.append(_Line("depth error", "%", 2.0, over("depth", interval)))
    lines.append(_Line("worst age of the keyframe", "points", 2.5, over("worst", interval)))
    further = [
        int(k) for k in ila.first["by_interval"] if _saved(ila.first, int(k)) >= _LARGER_SAVING
    ]
    if further:
        k = min(further)
        name = f"mean IoU at {_saved(ila.first, k):.1f} % fewer, K = {k}"
        lines.append(_Line(name, "points", 2.0, over("semseg", k)))
    return lines


def _behind(page: Page, reference: Page, interval: int) -> float:
    key = main_key("semseg")
    return 100 * (figure(reference, "slow", interval, key) - figure(page, "mila", interval, key))


def _relative(page: Page, reference: Page, interval: int) -> float:
    key = main_key("depth")
    return 100 * (
        figure(page, "mila", interval, key) / figure(reference, "slow", interval, key) - 1
    )


def _worst(page: Page, reference: Page, interval: int) -> float:
    key = main_key("semseg")
    worst = float(page["by_interval"][str(interval)]["methods"]["mila"]["worst"][key])
    return 100 * (figure(reference, "slow", interval, key) - worst)


_VALUES = {"semseg": _behind, "depth": _relative, "worst": _worst}


def _saved(page: Page, interval: int) -> float:
    return 100 * float(page["by_interval"][str(interval)]["gmac_saved"])


def verdict(met: bool) -> str:
    """Yes or no, the latter to be seen."""
    return "yes" if met else "**no**"
