"""One item of a grid: shared networks, its own training, its evaluation, its page of results.

Everything goes on where it was interrupted: trainings from their last checkpoint, what is finished
is not done again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.evaluation_run import Request, run_evaluation
from flows.grid_plan import Grid, Item, fingerprint, item_params, start_params, trains
from flows.training import Order, inputs_of, located, train
from mila.config import Params
from mila.export import adopt_networks, export_model, load_exported, read_settings
from mila.model import build_model
from mila.results import Page, main_metrics, write_page

_START_WAIT_S = 6 * 3600.0
"""Another process may be training the shared networks: wait for it."""


@dataclass(frozen=True)
class Place:
    """Where a grid lives.

    Attributes:
        base: Folder that relative paths mean.
        work: Folder of models and whole pages; may be deleted when all is done.
        results: Folder of the kept pages, one JSON file an item.
        grid: The grid file, as commands on the record name it.
        settings: Words of the command that decide results, as the record names them.
        accept_sources: Go on with trainings although sources changed since they began.
        start: Exported model whose slow and fast networks all items start from, whatever their
            seed; None = each seed trains its own.
    """

    base: Path
    work: Path
    results: Path
    grid: str = ""
    settings: tuple[str, ...] = ()
    accept_sources: bool = False
    start: Path | None = None

    def page(self, item: Item) -> Path:
        """The kept page of an item."""
        return self.results / f"{item.label}.json"


def run_item(grid: Grid, base: Params, item: Item, place: Place, command: str) -> Page:
    """Do what is left of an item and keep its page.

    Args:
        grid: The whole grid.
        base: Settings of the command.
        item: What to do.
        place: Where.
        command: That makes this item, for the record.

    Raises:
        ValueError: For bad input.
        TrainingError: If training failed.
    """
    import torch

    params = located(item_params(grid, base, item), place.base)
    torch.set_num_threads(max(1, int(params.cluster.cpus_per_worker)))
    mark = _mark(params, item, place)
    model = place.work / "models" / item.label
    if not item.row.alone:
        params = _started(grid, base, item, params, place)
    if trains(params):
        _train(params, f"grid-{item.label}-{mark[:8]}", model, place)
    else:
        _untrained(params, model)
    whole = run_evaluation(
        params,
        Request(
            model=str(model),
            out=place.work / "pages" / item.label / "metrics.json",
            command=command,
            base=place.base,
            adaptive=item.row.adaptive if item.is_first_seed else (),
        ),
    )
    page = {**_identity(item, mark, params), **_shared(item, place), **kept(whole)}
    write_page(place.page(item), page)
    return page


def made_with(grid: Grid, base: Params, item: Item, place: Place) -> str:
    """Fingerprint that the page of an item has to carry."""
    params = located(item_params(grid, base, item), place.base)
    return _mark(params, item, place)


def kept(page: Mapping[str, Any]) -> Page:
    """What is worth keeping of a whole page: every figure, no traces of single frames."""
    intervals = {
        interval: {
            "gmac_saved": part["gmac_saved"],
            "methods": {name: _figures(f) for name, f in part["methods"].items()},
        }
        for interval, part in page["by_interval"].items()
    }
    names = ("keyframe_interval", "consistency", "cost", "scored", "notes", "size")
    names += ("hardware", "command", "commit", "date")
    data = {name: page["data"][name] for name in ("split", "fingerprint")}  # where it lay is local
    schedules = {"schedules": page["schedules"]} if "schedules" in page else {}
    return {
        "by_interval": intervals,
        "offsets": {m: [main_metrics(f) for f in rows] for m, rows in page["offsets"].items()},
        "class_iou": {m: f["class_iou"] for m, f in page["methods"].items() if m != "copy"},
        **{name: page[name] for name in names},
        "data": data,
        **schedules,
    }


def _figures(figures: Mapping[str, Any]) -> Page:
    left_out = ("by_offset", "class_iou", "ms_mean", "ms_max")
    return {name: value for name, value in figures.items() if name not in left_out}


def _identity(item: Item, mark: str, params: Params) -> Page:
    row = item.row
    budget = {
        stage: [getattr(params.train, stage).updates, getattr(params.train, stage).batch_size]
        for stage in ("slow", "fast", "joint")
    }
    return {
        "row": item.name,
        "seed": item.seed,
        **{key: getattr(row, key) for key in ("group", "title", "about", "method")},
        "settings": row.settings,
        "updates_and_batch": budget,
        "supervised": params.train.supervised,
        "fingerprint": mark,
    }


def _mark(params: Params, item: Item, place: Place) -> str:
    """Fingerprint of an item: settings, data, and a start that was given."""
    inputs = inputs_of(params)
    if place.start is not None and not item.row.alone:
        inputs["start"] = str(read_settings(place.start)["sha256"])
    return fingerprint(params, inputs)


def _shared(item: Item, place: Place) -> Page:
    """What a given start is, for the record."""
    if place.start is None or item.row.alone:
        return {}
    start = read_settings(place.start)
    return {"start": {"sha256": start["sha256"], **start["origin"]}}


def _started(grid: Grid, base: Params, item: Item, params: Params, place: Place) -> Params:
    """The settings, with the start of this item's seed and kind of model."""
    source = place.start or _networks(grid, base, item.seed, place)
    start = place.work / "starts" / f"{item.label}-{read_settings(source)['sha256'][:8]}"
    _hand_over(source, params, start)
    update = {"start_from": str(start)}
    return params.model_copy(update={"train": params.train.model_copy(update=update)})


def _networks(grid: Grid, base: Params, seed: int, place: Place) -> Path:
    """Train the slow and fast networks of a seed, unless that is done; the exported model."""
    params = located(start_params(grid, base, seed), place.base)
    mark = fingerprint(params, inputs_of(params))
    folder = place.work / "models" / f"start-s{seed}-{mark[:8]}"
    if not (folder / "settings.json").is_file():
        _train(params, f"grid-start-s{seed}-{mark[:8]}", folder, place)
    return folder


def _hand_over(source: Path, params: Params, target: Path) -> None:
    """A model of these settings whose per-frame networks are those of another one.

    What lies between the frames is as fresh as if training began with it.
    """
    import torch

    torch.manual_seed(params.train.seed)
    model = build_model(params.model)
    adopt_networks(model, source)
    export_model(model, target, origin=read_settings(source)["origin"])


def _untrained(params: Params, folder: Path) -> None:
    """The start itself is the model."""
    start = str(params.train.start_from)
    export_model(load_exported(start), folder, origin=read_settings(start)["origin"])


def _train(params: Params, name: str, out: Path, place: Place) -> None:
    order = Order(
        name=name,
        out=out,
        report=place.work / "trainings" / f"{name}.json",
        wait_s=_START_WAIT_S,
        accept_sources=place.accept_sources,
    )
    train(params, order, say=_say(name))


def _say(name: str) -> Callable[[str], None]:
    def say(text: str) -> None:
        print(f"{name}: {text}", flush=True)

    return say
