"""How accuracy falls with the age of the keyframe, a line per way of propagating."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.claims.markdown import markdown
from pipeline.claims.seeds import Page, Row, tasks_of
from pipeline.claims.tables import names_of


def fall_table(rows: Sequence[Row], interval: int) -> str:
    """Main measures right after a keyframe and just before the next, and the change per frame.

    Args:
        rows: Ways of propagating.
        interval: Keyframe interval, 3 or more: ages 1 and interval - 1 are shown.
    """
    last = interval - 1
    head = ["propagation"]
    for name in names_of(rows[0], "{}"):
        head += [f"{name}, %, age 1", f"{name}, %, age {last}", f"{name}, points per frame"]
    lines = []
    for row in rows:
        cells = [str(row.first["title"])]
        for task in tasks_of(rows[0].first):
            for age in (1, last):
                at_age = row.over(lambda p, age=age, task=task: _at(p, age, task))
                cells.append(at_age.text(scale=100, digits=2))
            change = row.over(
                lambda p, task=task: (_at(p, last, task) - _at(p, 1, task)) / (last - 1)
            )
            cells.append(change.text(scale=100, digits=2, sign=True))
        lines.append(cells)
    return markdown(head, lines)


def _at(page: Page, age: int, task: str) -> float:
    return float(page["offsets"]["mila"][age][task])
