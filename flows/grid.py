#!/usr/bin/env python3
"""Verb: train and evaluate every row of a grid with every seed; goes on where it was interrupted.

An item (a row with a seed) whose page is kept is not run again; one that another live process works
on is left to it. Exit codes: 0 all done, 1 an item failed, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from mila.config import Params
from mila.overrides import ROOT, Verb

if TYPE_CHECKING:  # --help answers without torch
    from flows.grid_item import Place
    from flows.grid_plan import Grid, Item

_LOOK_S = 5.0
"""Seconds between looks at items that other processes work on."""

VERB = Verb(
    name="python flows/grid.py",
    summary="Train and evaluate the rows of a grid with several seeds, one page of results each.\n"
    "The settings of the grid file and of its rows go before words of the command.",
    example="python flows/grid.py rows=ila,flow_warp seeds=0,1,2 data.root=data/street",
    arguments={
        "grid": "file with settings and rows (params/grid/street.yaml)",
        "rows": "names of rows, comma between them (all)",
        "seeds": "seeds, comma between them (0,1,2)",
        "jobs": "processes side by side; each takes items that no other has (1)",
        "start": "exported model whose slow and fast networks every seed starts from (none: each "
        "seed trains its own)",
        "out": "folder of the kept pages (docs/results/NAME, NAME of the grid file; with start= "
        "NAME-shared)",
        "work": "folder of models and whole pages (runs/grid/NAME)",
        "accept": "accept=sources goes on with trainings although sources changed",
    },
    sections=("data", "cluster"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    words = list(sys.argv[1:] if argv is None else argv)

    def body(params: Params, own: dict[str, str]) -> int:
        from flows.cluster import base_folder
        from flows.grid_item import Place
        from flows.grid_plan import items_of, read_grid

        if own.get("accept", "sources") != "sources":
            raise ValueError(f"accept={own['accept']}: expected accept=sources")
        file = Path(own.get("grid", str(ROOT / "params" / "grid" / "street.yaml")))
        grid = read_grid(file)
        names = [name for name in own.get("rows", "").split(",") if name]
        items = items_of(grid, names, _numbers("seeds", own.get("seeds", "0,1,2")))
        base = base_folder()
        start = base / own["start"] if "start" in own else None
        name = file.stem if start is None else f"{file.stem}-shared"
        place = Place(
            base=base,
            work=base / own.get("work", f"runs/grid/{name}"),
            results=base / own.get("out", f"docs/results/{name}"),
            grid=_told(file, ROOT),
            settings=_settings_told(words, base),
            accept_sources="accept" in own,
            start=start,
        )
        jobs = _numbers("jobs", own.get("jobs", "1"))[0]
        return _side_by_side(words, jobs) if jobs > 1 else _walk(grid, params, items, place)

    return VERB.run(words, body)


def _numbers(name: str, text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isdigit() for part in parts):
        raise ValueError(f"{name}={text}: expected whole numbers, comma between them")
    return [int(part) for part in parts]


def _side_by_side(words: Sequence[str], jobs: int) -> int:
    """The same command several times; leases keep the processes off each other's items."""
    from flows.cluster import set_environment

    set_environment()
    alone = [word for word in words if not word.startswith("jobs=")]
    command = [sys.executable, str(Path(__file__).resolve()), *alone]
    processes = [subprocess.Popen(command) for _ in range(jobs)]
    return max(process.wait() for process in processes)


def _walk(grid: Grid, params: Params, items: Sequence[Item], place: Place) -> int:
    """Pass over the items until none is left that can be done here."""
    from flows.lease import LeaseHeldError, acquire_lease
    from mila.data.storage import open_storage

    settings = _in_this_process(params)
    left, failed, busy = list(items), 0, 0
    durations: list[float] = []
    while left:
        item = left.pop(0)
        if _is_done(grid, settings, item, place):
            busy = 0
            continue
        try:
            with acquire_lease(open_storage(str(place.work / "items" / item.label))):
                if not _is_done(grid, settings, item, place):
                    started = time.monotonic()
                    failed += not _do(grid, settings, item, place)
                    durations.append(time.monotonic() - started)
                    _tell(item, durations, left, place)
                busy = 0
        except LeaseHeldError:
            left.append(item)
            busy += 1
            if busy >= len(left):
                time.sleep(_LOOK_S)
    print(f"{len(items) - failed} of {len(items)} items done; pages in {place.results}")
    return 1 if failed else 0


def _in_this_process(params: Params) -> Params:
    """Plain training, recorded nowhere else: the kept pages are the record."""
    cluster = params.cluster.model_copy(update={"num_workers": 0})
    tracking = params.tracking.model_copy(update={"enabled": False})
    return params.model_copy(update={"cluster": cluster, "tracking": tracking})


def _is_done(grid: Grid, params: Params, item: Item, place: Place) -> bool:
    """Whether the item's page is kept.

    Raises:
        ValueError: If it was made with other settings or data.
    """
    import json

    from flows.grid_item import made_with

    path = place.page(item)
    if not path.is_file():
        return False
    if json.loads(path.read_text())["fingerprint"] != made_with(grid, params, item, place):
        raise ValueError(f"{path}: made with other settings or data; move it away to run it again")
    return True


def _do(grid: Grid, params: Params, item: Item, place: Place) -> bool:
    """Run one item; whether it succeeded. A failed one does not keep the others from running."""
    from flows.grid_item import run_item
    from flows.journal import TakenOverError
    from flows.launch import TrainingError
    from mila.data.storage import StorageError

    print(f"{item.label}: {item.row.title}", flush=True)
    words = ["python", "flows/grid.py", *place.settings, f"grid={place.grid}"]
    words += [f"rows={item.name}", f"seeds={item.seed}"]
    if place.start is not None:
        words.append(f"start={_told(place.start, place.base)}")
    try:
        run_item(grid, params, item, place, shlex.join(words))
    except (TrainingError, TakenOverError, StorageError, FloatingPointError) as error:
        print(f"{item.label}: {error}", file=sys.stderr, flush=True)
        return False
    return True


def _settings_told(words: Sequence[str], base: Path) -> tuple[str, ...]:
    """The settings that decide results, as the record names them."""
    _, settings = VERB.divide(words)
    pairs = [word.split("=", 1) for word in settings if not word.startswith("cluster.")]
    return tuple(
        f"{name}={_told(Path(value), base) if Path(value).is_absolute() else value}"
        for name, value in pairs
    )


def _told(path: Path, base: Path) -> str:
    """A path as the record names it: no folder of this machine."""
    whole = path.absolute()
    return whole.relative_to(base).as_posix() if whole.is_relative_to(base) else path.name


def _tell(item: Item, durations: Sequence[float], left: Sequence[Item], place: Place) -> None:
    """Say what is done and how long the rest will take in this process alone."""
    waiting = sum(not place.page(other).is_file() for other in left)
    minutes = sum(durations) / len(durations) * waiting / 60
    print(
        f"{item.label}: done in {durations[-1] / 60:.1f} min; {waiting} items left, about "
        f"{int(minutes // 60)}:{int(minutes % 60):02d} h for one process",
        flush=True,
    )


if __name__ == "__main__":
    from flows.cluster import restart_with_environment

    restart_with_environment()
    sys.exit(main())
