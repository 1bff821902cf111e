"""A page of results: what was measured, claim by claim, and what is still missing."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from pipeline.claims.by_age import fall_table
from pipeline.claims.equal_cost import equal_cost_section
from pipeline.claims.kept import kept_accuracy
from pipeline.claims.markdown import markdown
from pipeline.claims.schedules import schedule_section, single_task_section
from pipeline.claims.seeds import Row, tasks_of
from pipeline.claims.tables import (
    CLAIM,
    FIRST,
    better_table,
    change_table,
    cost_table,
    propagation_table,
    steadiness_table,
)

_WANTED_INTERVALS = (5, 10)


def document(
    rows: Mapping[str, Row],
    *,
    wanted: Mapping[str, str],
    seeds: Sequence[int],
    figure: str,
    source: str,
    title: str = "Results",
    about: str = "",
) -> str:
    """The page; equal inputs give equal text.

    Args:
        rows: What there is.
        wanted: Name -> title of every row of the grid.
        seeds: Seeds that every row shall have.
        figure: Path of the figure, relative to the page.
        source: The folder of pages, as it is named in the text.
        title: Heading of the page.
        about: What the data are and what the page is for, a sentence or two.

    Raises:
        ValueError: If the row that all others are compared with is not there.
    """
    if FIRST not in rows:
        raise ValueError(f"{source}: no page of row {FIRST}, which all others are compared with")
    ordered = {name: rows[name] for name in (*wanted, *rows) if name in rows}
    parts = [_top(ordered, title, source, about), _accuracy(ordered), _propagation(ordered, figure)]
    parts += [_changes(ordered), schedule_section(ordered), single_task_section(ordered)]
    parts += [_steadiness(ordered), _missing(ordered, wanted, seeds), _origin(ordered)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _top(rows: Mapping[str, Row], title: str, source: str, about: str) -> str:
    page = rows[FIRST].first
    interval = page["keyframe_interval"]
    size = page["size"]
    frames = page["scored"]["frames"][str(interval)]
    words = (
        f"Written by `make results` from the pages in `{source}`, nothing by hand. {about} "
        f"{size['height']}x{size['width']} pixels, {page['data']['split']} split: "
        f"{page['scored']['clips']} clips, {frames} scored frames. "
        "Figures are pooled over pixels, then averaged over the ages 0..K-1 of the keyframe, "
        "keyframes included unless said otherwise; the same frames are scored at every age. Mean ± "
        "sample standard deviation over seeds; a figure without ± comes from one seed, or no seed "
        "changes it. A seed decides initial weights and data order; the data are the same. GMAC: "
        "1e9 multiply-adds of one frame, heads included."
    )
    if "depth" in tasks_of(page):
        words += " AbsRel: |depth error| / depth below 80 m."
    return f"# {title}\n\n{_filled(words)}\n\n{_budget(rows)}"


def _budget(rows: Mapping[str, Row]) -> str:
    page = rows[FIRST].first
    budget = page["updates_and_batch"]
    joint, batch = budget["joint"]
    frames = page.get("supervised", 1)  # pages made before that was a setting
    clips = (
        f"{batch} clips, {frames} supervised frames in each," if frames > 1 else f"{batch} clips"
    )
    shared = "All rows of a seed share its slow and its fast network, trained per frame; then"
    if "start" in page:
        start = page["start"]
        shared = (
            f"All rows and all seeds{_left_out(rows)} share one slow and one fast network, those "
            f"of training `{start['run']}` (commit {start['commit'][:10]}): the spread is that of "
            "the joint stage alone, and figures of the slow network have none. Then"
        )
    return _filled(
        f"{shared} each row trains {joint} updates of {clips} with the slow "
        f"network frozen{_longer(rows)} (`params/grid/`)."
    )


def _longer(rows: Mapping[str, Row]) -> str:
    """That the row of the first table trained longer or otherwise, if there is one."""
    if CLAIM not in rows:
        return ""
    page = rows[CLAIM].first
    updates, _ = page["updates_and_batch"]["joint"]
    joint = page["settings"].get("train", {}).get("joint", {})
    optimizer = ", with Muon instead of AdamW" if joint.get("optimizer") == "muon" else ""
    return f"; MILA in the first two tables {_own_start(rows)}trains {updates} updates{optimizer}"


def _left_out(rows: Mapping[str, Row]) -> str:
    """That what was just said is not said of the first tables, if they start elsewhere."""
    return ", those of the first two tables left out," if _own_start(rows) else ""


def _own_start(rows: Mapping[str, Row]) -> str:
    """Where the row of the first table starts, if from other networks than the rest."""
    start = rows.get(CLAIM, rows[FIRST]).first.get("start")
    if start is None or start == rows[FIRST].first.get("start"):
        return ""
    named = f"`{start['run']}` (commit {start['commit'][:10]})"
    return f"starts from the networks of training {named}, and "


def _accuracy(rows: Mapping[str, Row]) -> str:
    ila = rows.get(CLAIM, rows[FIRST])
    interval = ila.first["keyframe_interval"]
    return f"""## Accuracy kept at fewer multiply-adds

{cost_table(ila, rows, interval)}

{kept_accuracy(ila, rows, interval)}"""


def _propagation(rows: Mapping[str, Row], figure: str) -> str:
    ila = rows[FIRST]
    others = _group(rows, "propagation")
    if not others:
        return ""
    intervals = [k for k in _WANTED_INTERVALS if str(k) in ila.first["by_interval"]]
    two = "depth" in tasks_of(ila.first)
    both, order = (" in both measures", " (mIoU / AbsRel)") if two else ("", "")
    return f"""## Ways to bring keyframe features to other frames

Same slow and fast networks, fusion, heads and updates; only the propagation differs. Means over the
ages 1..K-1, keyframes left out. The module's GMAC is all between features and propagated features
on one frame; what a keyframe needs for it (low-level features, keys) counts in GMAC per frame only.

{propagation_table(ila, others, intervals)}

ILA's gain over each, seed by seed; above 0 is better for ILA{both}. "Better"{order} means: in every
seed, or by more than the standard deviation over seeds.

{better_table(ila, others, intervals)}

{equal_cost_section(ila, others, ila.first["keyframe_interval"])}

{_by_age([ila, *others], intervals)}

![Accuracy against the age of the keyframe]({figure})"""


def _by_age(rows: Sequence[Row], intervals: Sequence[int]) -> str:
    if not intervals:
        return ""
    return f"### By the age of the keyframe\n\n{fall_table(rows, max(intervals))}"


def _changes(rows: Mapping[str, Row]) -> str:
    ila = rows[FIRST]
    interval = ila.first["keyframe_interval"]
    parts = []
    for group, title in (
        ("alignment", "Alignment of slow and fast features"),
        ("options", "Options of the attention"),
    ):
        others = _group(rows, group)
        if others:
            words = f"K = {interval}, keyframes included; changes are against ILA, seed by seed."
            parts.append(f"## {title}\n\n{words}\n\n{change_table(ila, others, interval)}")
    return "\n\n".join(parts)


def _steadiness(rows: Mapping[str, Row]) -> str:
    shown = [rows[FIRST], *_group(rows, "propagation")]
    if not rows[FIRST].first["consistency"]["truth"]:
        return ""
    return f"""## Steadiness

Neighbouring frames compared along the exact motion, over pixels seen in both: mean IoU between the
two predictions (more is steadier), mean change of log depth (less is steadier; the truth changes
with the camera's own motion).

{steadiness_table(shown)}"""


def _missing(rows: Mapping[str, Row], wanted: Mapping[str, str], seeds: Sequence[int]) -> str:
    lines = []
    for name, title in wanted.items():
        have = set(rows[name].pages) if name in rows else set()
        lacking = [str(seed) for seed in seeds if seed not in have]
        if lacking:
            lines.append([name, title, ", ".join(lacking)])
    if not lines:
        return f"## Missing\n\nNothing: every row has the seeds {', '.join(map(str, seeds))}."
    return f"""## Missing

Rows of the grid that were not run, or not with every seed. The commands of the table below run
them, given their names and seeds; data and processes as in the first lines of the grid file. Pages
made with the same settings are kept; what was made before a setting was added is refused and has to
be moved away first.

{markdown(["row", "title", "seeds not run"], lines)}"""


def _origin(rows: Mapping[str, Row]) -> str:
    lines = []
    machines: dict[str, int] = {}
    for row in rows.values():
        for seed, page in row.pages.items():
            machine = ", ".join(f"{key} {value}" for key, value in page["hardware"].items())
            number = machines.setdefault(machine, len(machines) + 1)
            place = f"`{page['command']}`"
            lines.append(
                [row.name, str(seed), place, page["commit"][:10], page["date"][:10], str(number)]
            )
    told = "\n".join(f"- machine {number}: {machine}" for machine, number in machines.items())
    head = ["row", "seed", "command", "commit", "date", "machine"]
    return f"## Where each row is from\n\n{told}\n\n{markdown(head, lines)}"


def _filled(words: str) -> str:
    return textwrap.fill(words, width=100, break_on_hyphens=False)


def _group(rows: Mapping[str, Row], group: str) -> list[Row]:
    """The rows of a group, the first row of all left out."""
    return [row for name, row in rows.items() if name != FIRST and row.first["group"] == group]
