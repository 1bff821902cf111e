"""Validation during training: the same few frames of the validation split after every report."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from mila.clip import Clip, Labels
from mila.config import Params
from mila.data.draws import FrameDraw
from mila.data.source import DataSource, evaluation_loader, moved_stills_loader, open_source
from mila.joint import joint_pass
from mila.keyframes import FixedSchedule
from mila.metrics import Metrics, build_metrics
from mila.model import Mila
from mila.streaming import frame_at, stream
from mila.training.stages import Stage
from mila.training.state import TrainState
from mila.training.update import Hardware

_STRIDE = 4
"""Per-frame stages are scored on every fourth frame."""


class Validation:
    """Scores the network of the stage under way on the validation split, if there is one."""

    def __init__(self, params: Params, hardware: Hardware) -> None:
        self._params = params
        self._hardware = hardware
        self._source: DataSource = open_source(params.data, label_set=params.model.label_set)
        self._empty = not self._source.manifest.split("val")

    def __call__(self, state: TrainState, stage: Stage) -> dict[str, float]:
        """Metrics by key, e.g. `val/semseg/mean_iou`; networks keep their training mode."""
        if self._empty:
            return {}
        model = state.evaluated
        modes = {module: module.training for module in model.modules()}
        model.eval()
        metrics = build_metrics(
            self._params.model.tasks,
            self._params.model.label_set,
            depth_limit=self._params.evaluation.depth_limit,
        )
        with torch.no_grad(), self._hardware.arithmetic():
            for clip in self._clips(stage):
                self._score(model, stage, clip.to(self._hardware.device), metrics)
        for module, mode in modes.items():
            module.training = mode
        return {f"val/{name}": value for name, value in metrics.compute().items()}

    def _clips(self, stage: Stage) -> Iterator[Clip]:
        tasks = self._params.model.tasks
        if self._moves_stills(stage):
            draw = FrameDraw(
                "offset",
                max_offset=max(1, self._params.evaluation.keyframe_interval - 1),
                walk=self._params.joint_walk,
            )
            loader = moved_stills_loader(self._source, "val", tasks, draw)
        else:
            flow = stage.is_joint and self._params.model.propagation.needs_flow
            loader = evaluation_loader(self._source, "val", tasks, flow=flow)
        return (clip for clip, _ in loader.epoch())

    def _moves_stills(self, stage: Stage) -> bool:
        """A still alone is a keyframe and says nothing about the joint stage."""
        return stage.is_joint and self._params.data.clips_from_stills

    def _score(self, model: Mila, stage: Stage, clip: Clip, metrics: Metrics) -> None:
        if not stage.is_joint:
            chosen = torch.arange(0, clip.images.shape[1], _STRIDE)
            net = model.slow_predictions if stage.name == "slow" else model.fast_predictions
            metrics.add(net(clip.images[0, chosen]), _of_frames(clip, chosen))
        elif self._moves_stills(stage):
            out = joint_pass(model, clip.images, clip.frames, train_slow=False, with_slow=False)
            metrics.add(out.predictions, clip.labels_at(-1))
        else:
            schedule = FixedSchedule(self._params.evaluation.keyframe_interval)
            frames = (frame_at(clip, t) for t in range(clip.images.shape[1]))
            for answer in stream(model, frames, schedule):
                metrics.add(answer.predictions, clip.labels_at(answer.index))


def _of_frames(clip: Clip, chosen: Tensor) -> Labels:
    """Labels of some frames of the only clip of a batch, as a batch of frames."""
    return {task: label[0, chosen] for task, label in clip.labels.items()}
