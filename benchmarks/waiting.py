"""How much of a training waits for data: read from a run that has ended or goes on.

    python benchmarks/waiting.py run=runs/train-0123456789
    python benchmarks/waiting.py run=s3://runs/street table=false

The share is time blocked in the call for the next batch / wall time, over all updates, the start of
loader processes included, validation and checkpoints left out. One JSON line per stage and one for
the run; every committed report of a run holds the share since the report before.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))
import measuring

from mila.data.storage import Storage, open_storage

AIM = 0.05
COLUMNS = (
    *("case", "design", "wait_share", "largest", "aim", "ok", "updates", "seconds"),
    *("clips_per_s", "trained_at"),
)


@dataclass(frozen=True)
class Stretch:
    """What one committed report says about the updates since the one before."""

    updates: int
    clips: int
    seconds: float
    waited: float
    """Seconds."""


def stretches(storage: Storage) -> dict[str, list[Stretch]]:
    """The reports of a run by stage, in order.

    Raises:
        SystemExit: If there are none.
    """
    records = [json.loads(storage.read(entry.name)) for entry in storage.list("journal/")]
    if not records:
        raise SystemExit(f"{storage.url}: no committed report there")
    settings = json.loads(storage.read("identity.json"))["settings"]
    stages: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        stages[record["report"]["stage"]].append(record["report"])
    return {
        stage: _stretches(reports, int(settings[f"train.{stage.split('_')[0]}.batch_size"]))
        for stage, reports in stages.items()
    }


def _stretches(reports: Sequence[dict[str, Any]], batch_size: int) -> list[Stretch]:
    found = []
    ends = [0, *(report["update"] for report in reports)]
    for (before, end), report in zip(pairwise(ends), reports, strict=True):
        clips = (end - before) * batch_size
        seconds = clips / report["clips_per_second"]
        found.append(Stretch(end - before, clips, seconds, seconds * report["wait_share"]))
    return found


def line(case: str, run: str, parts: Sequence[Stretch]) -> dict[str, object]:
    """The result of a stage, or of all of them."""
    seconds = sum(part.seconds for part in parts)
    share = sum(part.waited for part in parts) / seconds
    return {
        **{"bench": "waiting", "case": case, "design": f"run {run}", "wait_share": round(share, 4)},
        "largest": round(max(part.waited / part.seconds for part in parts), 4),
        **{"aim": None, "ok": True},
        "updates": sum(part.updates for part in parts),
        "seconds": round(seconds),
        "clips_per_s": round(sum(part.clips for part in parts) / seconds, 1),
    }


def lines_of(storage: Storage) -> list[dict[str, object]]:
    """A line for every stage; the last one is for the run, and has the aim."""
    run = storage.url.rstrip("/").rpartition("/")[2]
    stages = stretches(storage)
    lines = [line(stage, run, parts) for stage, parts in stages.items()]
    whole = line("all stages", run, [part for parts in stages.values() for part in parts])
    whole |= {"aim": f"wait_share<={AIM:g}", "ok": float(str(whole["wait_share"])) <= AIM}
    try:
        commit = json.loads(storage.read("outcome.json"))["commit"][:12]
    except FileNotFoundError:
        commit = "not ended"
    more = {"trained_at": commit, **measuring.circumstances(1)}
    return [{**each, **more, "clock": "wall"} for each in [*lines, whole]]


def main(argv: Sequence[str]) -> int:
    """Print how long a run waited for data."""
    if list(argv) in (["help"], ["--help"], ["-h"]):
        measuring.say(__doc__ or "")
        return 0
    values = measuring.words({"run": "", "strict": "false", "table": "true"}, argv)
    if not values["run"]:
        measuring.say("run=... is required: folder or s3:// prefix of a run")
        return 2
    lines = lines_of(open_storage(values["run"]))
    for each in lines:
        measuring.emit(each)
    return measuring.finish("waiting", lines, COLUMNS, values)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
