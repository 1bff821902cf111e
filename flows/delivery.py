"""What a finished training leaves: exported weights, a results file, curves, a registered model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flows.journal import Journal, Record
from flows.run_storage import RunStorage
from flows.tracked_run import TrackedRun
from mila.config import Params
from mila.identity import Identity
from mila.tasks import TASKS

_OUTCOME = "outcome.json"
_MODEL_TAG = "model.registered"


@dataclass(frozen=True)
class Outcome:
    """What a finished run is known by; kept in its storage.

    Attributes:
        run: Name of the run.
        identity: Fingerprint of settings, inputs and sources.
        mlflow_run_id: Empty if it was not recorded.
        commit: Of the sources that finished it.
        data: Fingerprint of the manifest.
        weights_sha256: Of the exported weights.
    """

    run: str
    identity: str
    mlflow_run_id: str
    commit: str
    data: str
    weights_sha256: str


def read_outcome(run: RunStorage) -> Outcome | None:
    """What a run that is finished and fully recorded left; None if there is more to do."""
    try:
        return Outcome(**json.loads(run.storage.read(_OUTCOME)))
    except FileNotFoundError:
        return None


def write_outcome(run: RunStorage, outcome: Outcome) -> None:
    """Remember that nothing is left to do."""
    run.storage.put(_OUTCOME, json.dumps(asdict(outcome), indent=1).encode())


def export_run(run: RunStorage, params: Params, origin: Mapping[str, str], folder: Path) -> str:
    """Write the weights of the newest checkpoint as a model folder.

    Returns:
        SHA-256 of the weights.
    """
    import torch

    from mila.export import export_model
    from mila.training.state import TrainState

    state = TrainState(params, device=torch.device("cpu"), identity=origin["identity"])
    if run.restore(state) is None:
        raise ValueError(f"{run.url}: no checkpoint to export")
    return export_model(state.model, folder, origin=dict(origin))


def holds_weights(folder: Path, sha256: str) -> bool:
    """Whether a model folder holds exactly these weights, and its settings file says so."""
    try:
        page = json.loads((folder / "settings.json").read_text())
        weights = (folder / "weights.pt").read_bytes()
    except (OSError, json.JSONDecodeError):
        return False
    return bool(page.get("sha256") == sha256 == hashlib.sha256(weights).hexdigest())


def write_results(path: Path, outcome: Outcome, journal: Journal) -> None:
    """Write the results file: what the run is, its final metrics and its curves, by stage."""
    records = list(journal.since(0))
    page = {
        **asdict(outcome),
        "updates": int(records[-1].report["total_update"]) if records else 0,
        "final": {str(r.report["stage"]): dict(r.report["metrics"]) for r in records},
        "curves": curves(records),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(page, indent=1, sort_keys=True) + "\n")


def curves(records: list[Record]) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Stage -> metric -> (total update, value) of every report."""
    found: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for record in records:
        stage = found.setdefault(str(record.report["stage"]), {})
        for name, value in record.report["metrics"].items():
            stage.setdefault(name, []).append((int(record.report["total_update"]), float(value)))
    return found


def record_results(
    tracked: TrackedRun, run: RunStorage, params: Params, exported: Path, identity: Identity
) -> bool:
    """Send what is left of the journal, once the summary and the model; whether all is there."""
    if not tracked.send(run.journal):
        return False
    if not tracked.run_id or tracked.tag(_MODEL_TAG):
        return True
    records = list(run.journal.since(0))
    tracked.metrics(summary(records), step=int(records[-1].report["total_update"]))
    tracked.figure(curve_figure(curves(records)), "curves.png")
    tracked.model(exported, example_frames(params))
    tracked.tags({_MODEL_TAG: identity.fingerprint})
    return bool(tracked.tag(_MODEL_TAG))


def summary(records: list[Record]) -> dict[str, float]:
    """`final/...` and `best/...` of the main metric of each task, by stage."""
    found: dict[str, float] = {}
    for stage, metrics in curves(records).items():
        for task in TASKS.values():
            points = metrics.get(f"val/{task.name}/{task.metric}")
            if points:
                values = [value for _, value in points]
                key = f"{stage}/{task.name}/{task.metric}"
                found[f"final/{key}"] = values[-1]
                found[f"best/{key}"] = max(values) if task.higher_is_better else min(values)
    return found


def curve_figure(by_stage: Mapping[str, Mapping[str, list[tuple[int, float]]]]) -> Any:
    """Loss and main validation metrics against updates, one panel each, a line per stage."""
    from matplotlib.figure import Figure

    names = ["loss", *(f"val/{task.name}/{task.metric}" for task in TASKS.values())]
    shown = [name for name in names if any(name in metrics for metrics in by_stage.values())]
    figure = Figure(figsize=(4 * max(1, len(shown)), 3), layout="constrained")
    for place, name in enumerate(shown, start=1):
        axes = figure.add_subplot(1, len(shown), place)
        for stage, metrics in by_stage.items():
            if name in metrics:
                axes.plot(*zip(*metrics[name], strict=True), label=stage)
        axes.set(title=name, xlabel="updates")
        axes.legend(fontsize="small")
    return figure


def example_frames(params: Params) -> Any:
    """Two consecutive frames of the data, RGB, uint8 (2, H, W, 3)."""
    from mila.data.sample import SPLITS
    from mila.data.source import evaluation_loader, open_source

    source = open_source(params.data)
    split = next(s for s in reversed(SPLITS) if source.manifest.split(s))
    loader = evaluation_loader(source, split, params.model.tasks)
    clip = next(iter(loader.epoch()))[0]
    return clip.images[0, :2].permute(0, 2, 3, 1).contiguous().numpy()
