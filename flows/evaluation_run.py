"""Evaluate an exported model on a data set: measure, write, draw, record.

Writes the page of results as JSON and, beside it in `evaluation/`, pictures with their index.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch

from flows.cluster import absolute, set_environment
from flows.counting import Counting
from flows.provenance import commit_of, provenance
from flows.tracked_run import TrackedRun
from flows.tracking import start_run
from mila.clip import Clip
from mila.config import EvaluationSettings, Params
from mila.cost import frame_costs
from mila.data.manifest import ClipRow
from mila.data.source import DataSource, evaluation_loader, open_source
from mila.evaluation import Protocol, evaluate
from mila.examples import example_panels
from mila.export import load_exported, read_settings
from mila.identity import identify, run_name
from mila.latency import hardware, measure_latency
from mila.model import Mila
from mila.panels import Painter, Panel, sheet, write_panels
from mila.results import Page, add_delta_m, main_metrics, results_page, write_page
from mila.schedule_scores import Row, compare_schedules
from mila.scoring import batched
from mila.streaming import Frame, frame_at
from mila.tasks import LABEL_SETS

_BATCH = 4
"""Clips scored together; more does not go faster on a CPU."""
_EXAMPLES = 3
"""Clips of which pictures are drawn."""
PICTURES = "evaluation"
"""Folder of the pictures, beside the page of results."""


@dataclass(frozen=True)
class Request:
    """What shall be evaluated.

    Attributes:
        model: Folder of the exported model, as the user named it.
        out: JSON file to write.
        command: The command that was given, for the record.
        base: Folder that relative paths of model and data mean.
        single_task: Pages of single-task models, whose slow networks Delta_m refers to.
        adaptive: Shares of frames that adaptive schedules refresh early; may be empty.
    """

    model: str
    out: Path
    command: str
    base: Path
    single_task: Sequence[Path] = ()
    adaptive: Sequence[float] = ()


def run_evaluation(params: Params, request: Request) -> Page:
    """Evaluate, write the results and record the run.

    Raises:
        ValueError: If model and data do not fit together or there is nothing to score.
    """
    set_environment()
    references = _references(request.single_task)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load_exported(request.base / request.model, device=device)
    root = absolute(params.data.root, request.base)
    source = open_source(params.data.model_copy(update={"root": root}))
    _check(model, source, params)
    page = _measure(model, source, params)
    page |= _origin(params, request, source, device)
    if request.adaptive:
        page["schedules"] = _schedules(model, source, params, request.adaptive)
    if references:
        add_delta_m(page, references)
    panels = _draw(model, source, params)
    with _tracked(params, request, page) as run:
        page["mlflow_run_id"] = run.run_id
        write_panels(request.out.parent / PICTURES, panels)
        write_page(request.out, page)
        _record(run, request, page, panels)
    return page


def _check(model: Mila, source: DataSource, params: Params) -> None:
    """Refuse labels that the model knows nothing of."""
    wanted = model.settings.label_set
    for row in source.manifest.split(params.evaluation.split):
        if "semseg" in row.labels and row.label_set != wanted:
            raise ValueError(
                f"{params.data.root}: clip {row.key} has labels of set {row.label_set}, "
                f"the model predicts {wanted}"
            )


def _rows(model: Mila, source: DataSource, params: Params) -> list[ClipRow]:
    """The clips that are read: those with a label of some task."""
    split = source.manifest.split(params.evaluation.split)
    return [row for row in split if row.labelled(model.tasks)]


def _clips(model: Mila, source: DataSource, params: Params) -> Iterator[Clip]:
    """Whole clips of the split, one at a time, on the model's device; with flow if there is any."""
    flow = any("flow" in row.labels for row in _rows(model, source, params))
    device = next(model.parameters()).device
    loader = evaluation_loader(source, params.evaluation.split, model.tasks, flow=flow)
    return (clip.to(device) for clip, _ in loader.epoch())


def _measure(model: Mila, source: DataSource, params: Params) -> Page:
    """Accuracy, cost and time."""
    settings = params.evaluation
    protocol = _protocol(model, settings)
    counting = Counting("clips", len(_rows(model, source, params)))
    clips = batched(_clips(model, source, params), _BATCH)
    evaluation = evaluate(model, clips, protocol, progress=counting.show)
    video = _video(next(_clips(model, source, params)), settings.latency_frames)
    latency = measure_latency(model, video, interval=protocol.interval, threads=settings.threads)
    height, width = video[0].image.shape[-2:]
    costs = frame_costs(model, height, width)
    size = {"height": height, "width": width}
    return {**results_page(evaluation, costs, latency), "size": size}


def _protocol(model: Mila, settings: EvaluationSettings) -> Protocol:
    return Protocol(
        tasks=model.tasks,
        label_set=model.settings.label_set,
        depth_limit=settings.depth_limit,
        intervals=sorted({*settings.intervals, settings.keyframe_interval}),
        interval=settings.keyframe_interval,
    )


def _schedules(
    model: Mila, source: DataSource, params: Params, shares: Sequence[float]
) -> list[Row]:
    """Adaptive schedules, their thresholds set on the validation split, beside fixed ones."""
    elsewhere = params.evaluation.model_copy(update={"split": "val"})
    calibration = params.model_copy(update={"evaluation": elsewhere})
    height, width = next(_clips(model, source, params)).images.shape[-2:]
    return compare_schedules(
        model,
        partial(_clips, model, source, params),
        partial(_clips, model, source, calibration),
        _protocol(model, params.evaluation),
        frame_costs(model, height, width),
        shares,
    )


def _video(clip: Clip, frames: int) -> list[Frame]:
    """A clip, played forth and back as often as needed."""
    last = clip.images.shape[1] - 1
    order = [*range(last + 1), *range(last - 1, 0, -1)]
    chosen = itertools.islice(itertools.cycle(order), frames)
    return [frame_at(clip, t) for t in chosen]


def _origin(params: Params, request: Request, source: DataSource, device: torch.device) -> Page:
    """What ties the page to model, data, code and machine."""
    exported = read_settings(request.base / request.model)
    return {
        "model": {"path": request.model, **{k: exported[k] for k in ("sha256", "origin")}},
        "data": {
            "root": params.data.root,
            "split": params.evaluation.split,
            "fingerprint": source.manifest.fingerprint,
        },
        "hardware": {**hardware(device), "threads": params.evaluation.threads},
        "command": request.command,
        "commit": commit_of(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _references(pages: Sequence[Path]) -> dict[str, float]:
    """Task -> main metric of the single-task slow networks."""
    references: dict[str, float] = {}
    for path in pages:
        if not path.is_file():
            raise ValueError(f"{path}: no page of results there")
        references |= main_metrics(json.loads(path.read_text())["methods"]["slow"])
    return references


def _draw(model: Mila, source: DataSource, params: Params) -> list[Panel]:
    """Pictures of a few clips, spread over the split."""
    painter = Painter(LABEL_SETS[model.settings.label_set], params.evaluation.depth_limit)
    rows = _rows(model, source, params)
    long = [index for index, row in enumerate(rows) if row.frames > 1]
    chosen = {long[i * len(long) // _EXAMPLES] for i in range(_EXAMPLES)} if long else set()
    offset = max(params.evaluation.keyframe_interval - 1, 1)
    return [
        panel
        for index, clip in enumerate(_clips(model, source, params))
        if index in chosen
        for panel in example_panels(model, clip, painter, offset=offset)
    ]


def _tracked(
    params: Params, request: Request, page: Page
) -> contextlib.AbstractContextManager[TrackedRun]:
    """The run at the tracking service; the same model, data and settings give the same run."""
    inputs = {"data.root": page["data"]["fingerprint"], "model": page["model"]["sha256"]}
    identity = identify(params, inputs, sections=("evaluation",))
    settings = {f"evaluation.{k}": v for k, v in params.evaluation.model_dump(mode="json").items()}
    return start_run(
        "evaluate",
        run_name("evaluate", identity),
        params={**settings, "model": request.model, "data.root": params.data.root},
        tags=provenance(identity),
        settings=params.tracking,
    )


def _record(run: TrackedRun, request: Request, page: Page, panels: Sequence[Panel]) -> None:
    """Tell the tracking service what was found."""
    split = page["data"]["split"]
    values = {"gmac_saved": page["gmac_saved"]}
    for method, figures in page["methods"].items():
        plain = {k: v for k, v in figures.items() if isinstance(v, float)}
        values |= {f"{split}/{method}/{name}": value for name, value in plain.items()}
    run.metrics(values)
    for method, offsets in page["offsets"].items():
        for offset, figures in enumerate(offsets):
            main = main_metrics(figures)
            run.metrics(
                {f"{split}/{method}/by_offset/{t}": v for t, v in main.items()}, step=offset
            )
    run.file(request.out)
    if panels:
        run.image(sheet(panels), "panels.png")
