"""One sweep, from settings to a table: identity, lease, trials on Ray Tune, record, results file.

May be repeated at any time: Tune goes on where it was interrupted, each trial from its own last
checkpoint; a finished sweep is delivered again within seconds. The journals of the trials are the
truth; Tune only decides which trial runs and which one ends early.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.cluster import absolute, set_environment
from flows.launch import TrainingError
from flows.lease import acquire_lease
from flows.provenance import commit_of, provenance
from flows.run_storage import RunStorage
from flows.training import inputs_of, located
from flows.trials import Trial, grid, score_of, trial_params
from flows.tuner import run_trials
from mila.config import Params
from mila.data.manifest import ClipRow, read_manifest
from mila.data.storage import open_storage
from mila.identity import Identity, identify, run_name

Page = dict[str, Any]

_SECTIONS = ("data", "model", "loss", "train", "sweep")
_PAGE, _RECORDED = "sweep.json", "recorded"


@dataclass(frozen=True)
class SweepOrder:
    """What is asked of one sweep beside its settings.

    Attributes:
        model: Exported model whose encoders every trial starts from, as the user named it.
        out: File for the results.
        command: The command that was given, for the record.
        base: Folder that relative paths mean.
    """

    model: str
    out: Path
    command: str
    base: Path


def sweep(params: Params, order: SweepOrder, say: Callable[[str], None]) -> Page:
    """Run all trials, or those that are left, and write the table.

    Raises:
        ValueError: For bad input, or a live other driver of this sweep.
        TrainingError: If trials failed; the same command tries those again.
    """
    set_environment()
    start = absolute(order.model, order.base)
    train = params.train.model_copy(update={"start_from": start})
    params = located(params.model_copy(update={"train": train}), order.base)
    trials = grid(params)
    identity = _identity(params)
    name = run_name("sweep", identity)
    run = RunStorage(f"{params.cluster.storage}/{name}")
    run.bind(identity)
    page = _read_page(run)
    if page is None:
        gmac = _check(params, trials)
        with acquire_lease(run.storage, say=say):
            failures = run_trials(run, params, identity.fingerprint, gmac, say)
            page = _page(run, params, order, identity, gmac)
            if failures:
                raise TrainingError(_told(failures))
            run.storage.put(_PAGE, json.dumps(page).encode())
    else:
        say(f"{name} is finished; nothing to train")
    order.out.parent.mkdir(parents=True, exist_ok=True)
    order.out.write_text(json.dumps(page, indent=1, sort_keys=True) + "\n")
    _record(run, params, identity, page, order.out)
    return page


def _identity(params: Params) -> Identity:
    """Of everything that decides the table."""
    identity = identify(params, inputs_of(params), sections=_SECTIONS)
    limit = {"evaluation.depth_limit": params.evaluation.depth_limit}
    return replace(identity, settings={**identity.settings, **limit})


def _read_page(run: RunStorage) -> Page | None:
    try:
        page: Page = json.loads(run.storage.read(_PAGE))
    except FileNotFoundError:
        return None
    return page


def _check(params: Params, trials: list[Trial]) -> dict[str, float]:
    """Refuse what no trial could train on; name of a trial -> GMAC of a mean frame."""
    from mila.cost import frame_costs
    from mila.export import load_weights
    from mila.model import build_model

    clip = _validation_clip(params)
    assert params.train.start_from is not None
    gmac: dict[str, float] = {}
    for trial in trials:
        model = build_model(trial_params(params, trial).model)
        load_weights(model, params.train.start_from)
        costs = frame_costs(model, clip.height, clip.width)
        gmac[trial.name] = costs.amortised(trial.keyframe_interval) / 1e9
    return gmac


def _validation_clip(params: Params) -> ClipRow:
    clips = read_manifest(open_storage(params.data.root)).split("val")
    if not clips:
        raise ValueError(f"{params.data.root}: expected clips of split val to score trials, got 0")
    return clips[0]


def _told(failures: Mapping[str, str]) -> str:
    name, cause = next(iter(failures.items()))
    return f"{len(failures)} trials failed, the first is {name}: {cause}"


def _trial_run(run: RunStorage, name: str) -> RunStorage:
    return RunStorage(f"{run.url}/trials/{name}")


def _page(
    run: RunStorage,
    params: Params,
    order: SweepOrder,
    identity: Identity,
    gmac: Mapping[str, float],
) -> Page:
    from mila.latency import hardware

    rows = [_row(run, params, trial, gmac) for trial in grid(params)]
    return {
        "trials": [row for row, _ in rows],
        "best": _best(rows),
        "run": run.url.rpartition("/")[2],
        "identity": identity.fingerprint,
        "model": order.model,
        "data": identity.inputs["data.root"],
        "command": order.command,
        "commit": commit_of(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware("cuda" if params.cluster.use_gpu else "cpu"),
    }


def _row(
    run: RunStorage, params: Params, trial: Trial, gmac: Mapping[str, float]
) -> tuple[Page, float]:
    """A trial's line of the table, and its score."""
    last = _trial_run(run, trial.name).journal.last()
    row: Page = {**vars(trial), "gmac_per_frame": gmac[trial.name]}
    if last is None:
        return {**row, "updates": 0, "status": "failed"}, float("-inf")
    metrics = last.report["metrics"]
    row |= {k: v for k, v in metrics.items() if k.startswith("val/") and isinstance(v, float)}
    status = "finished" if last.report["last"] else "stopped early"
    score = score_of(params, metrics)
    return {**row, "updates": int(last.report["update"]), "status": status}, score


def _best(rows: list[tuple[Page, float]]) -> dict[str, Page]:
    """Keyframe interval -> the finished trial with the best score."""
    best: dict[str, Page] = {}
    for row, _ in sorted(rows, key=lambda pair: -pair[1]):
        if row["status"] == "finished":
            best.setdefault(str(row["keyframe_interval"]), row)
    return best


def _record(run: RunStorage, params: Params, identity: Identity, page: Page, out: Path) -> None:
    """Tell the tracking service, once: a run for the sweep, one below it for each trial."""
    from flows.tracking import start_run

    if any(entry.name == _RECORDED for entry in run.storage.list(_RECORDED)):
        return
    settings, name = params.tracking, str(page["run"])
    tags = {**provenance(identity), "run.storage": run.url}
    with start_run("sweep", name, params=identity.settings, tags=tags, settings=settings) as parent:
        complete = bool(parent.run_id) or not settings.enabled
        for row in page["trials"]:
            point = _point(row)
            trial = Trial(**point)
            with start_run(
                "trial",
                trial.name,
                params=point,
                tags=tags,
                settings=settings,
                parent=parent.run_id,
            ) as child:
                complete &= child.send(_trial_run(run, trial.name).journal)
                child.metrics({"gmac_per_frame": row["gmac_per_frame"]})
                child.tags({"trial.status": row["status"]})
        parent.file(out)
    if complete:
        run.storage.put(_RECORDED, b"")


def _point(config: Mapping[str, Any]) -> dict[str, int]:
    return {name: int(config[name]) for name in ("keyframe_interval", "radius", "seed")}
