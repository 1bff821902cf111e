"""Training and evaluation of MILA and its peers in a given time, on whatever device there is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measuring
import torch

from mila.config import Params
from mila.cost import frame_costs, peer_settings
from mila.data.source import evaluation_loader, open_source
from mila.evaluation import Protocol, evaluate
from mila.export import adopt_networks, export_model
from mila.latency import measure_latency
from mila.model import Mila, build_model
from mila.results import results_page
from mila.scoring import batched
from mila.streaming import frame_at
from mila.training.context import LocalContext, Report
from mila.training.worker import work

STAGES = ("slow", "fast", "joint")
_LEAST_UPDATES = 2
_LATENCY_FRAMES = 40


@dataclass(frozen=True)
class Bench:
    """What all trainings of the benchmark share.

    Attributes:
        params: Settings; data.root holds the shards.
        device: cuda or cpu.
        folder: For checkpoints and models.
        seconds: Of each stage.
        pilot: Updates by which the pace of a stage is found.
    """

    params: Params
    device: str
    folder: Path
    seconds: dict[str, float]
    pilot: int


def find_updates(bench: Bench) -> dict[str, int]:
    """Updates of each stage that fit into its seconds, from the pace of a short pilot."""
    pilot = dict.fromkeys(STAGES, bench.pilot)
    params = with_updates(bench.params, pilot, report_every=max(1, bench.pilot // 2))
    pace: dict[str, float] = {}

    def watch(report: Report) -> None:
        pace[report.stage] = report.clips_per_second  # the last one stays: warm

    work(LocalContext(bench.folder / "pilot", device=bench.device, show=watch), params)
    return {
        stage: max(
            _LEAST_UPDATES,
            int(pace[stage] * bench.seconds[stage] / getattr(params.train, stage).batch_size),
        )
        for stage in STAGES
    }


def train_networks(bench: Bench, updates: dict[str, int]) -> Path:
    """Slow and fast network per frame; gives the folder of the exported model."""
    params = with_updates(bench.params, {**updates, "joint": 0})
    state = work(_context(bench, "networks"), params)
    export_model(state.model, bench.folder / "networks-model", origin={})
    return bench.folder / "networks-model"


def train_joint(bench: Bench, kind: str, updates: dict[str, int], networks: Path) -> Mila:
    """The joint stage of one propagation, from the same networks for all."""
    model = peer_settings(bench.params.model, kind)
    torch.manual_seed(bench.params.train.seed)
    fresh = build_model(model)
    adopt_networks(fresh, networks)
    start = bench.folder / f"start-{kind}"
    export_model(fresh, start, origin={})
    params = with_updates(bench.params, {"slow": 0, "fast": 0, "joint": updates["joint"]})
    train = params.train.model_copy(update={"start_from": str(start)})
    params = params.model_copy(update={"train": train, "model": model})
    return work(_context(bench, kind), params).model.eval()


def score(bench: Bench, model: Mila) -> dict[str, Any]:
    """Accuracy at every interval, cost and time of a trained model, as a page of plain values."""
    settings = bench.params.evaluation
    protocol = Protocol(
        tasks=model.tasks,
        label_set=model.settings.label_set,
        depth_limit=settings.depth_limit,
        intervals=sorted({*settings.intervals, settings.keyframe_interval}),
        interval=settings.keyframe_interval,
    )
    source = open_source(bench.params.data)
    loader = evaluation_loader(source, settings.split, model.tasks, flow=True)
    clips = [clip.to(bench.device) for clip, _ in loader.epoch()]
    evaluation = evaluate(model, batched(iter(clips), 4), protocol)
    order = itertools.cycle(range(clips[0].images.shape[1]))
    frames = [frame_at(clips[0], t) for t in itertools.islice(order, _LATENCY_FRAMES)]
    latency = measure_latency(model, frames, interval=protocol.interval, threads=1)
    height, width = clips[0].images.shape[-2:]
    return results_page(evaluation, frame_costs(model, height, width), latency)


def with_updates(params: Params, updates: dict[str, int], *, report_every: int = 10**6) -> Params:
    """The settings with other lengths of the stages; a report ends each of them."""
    stages = {
        stage: getattr(params.train, stage).model_copy(update={"updates": updates[stage]})
        for stage in STAGES
    }
    train = params.train.model_copy(update={**stages, "report_every": report_every})
    return params.model_copy(update={"train": train})


def summary(kinds: Sequence[str], pages: dict[str, dict[str, Any]]) -> str:
    """A short Markdown table: bounds from the first page, then a row per propagation."""
    first = pages[kinds[0]]
    interval = first["keyframe_interval"]
    rows = [("slow on every frame", first["methods"]["slow"], None)]
    rows.append(("fast on every frame, per-frame stage alone", first["methods"]["fast"], None))
    rows += [(kind, pages[kind]["methods"]["mila"], pages[kind]["cost"]) for kind in kinds]
    head = f"| K = {interval} | mIoU, % | AbsRel, % | GMAC per frame | module, GMAC | ms mean |"
    lines = [head, "|---|---|---|---|---|---|"]
    for name, figures, cost in rows:
        module = "-" if cost is None else f"{cost['propagation_gmac']:.4f}"
        lines.append(
            f"| {name} | {100 * figures['semseg/mean_iou']:.2f} "
            f"| {100 * figures['depth/abs_rel']:.2f} | {figures['gmac_per_frame']:.3f} "
            f"| {module} | {figures['ms_mean']:.2f} |"
        )
    return "\n".join(lines)


def _context(bench: Bench, name: str) -> LocalContext:
    def show(report: Report) -> None:
        measuring.say(f"{name}: {report.line()}")

    return LocalContext(bench.folder / name, device=bench.device, show=show)
