"""A tracked run as its makers see it, the form that records nothing, and a record as points."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from flows.journal import Journal, Record

Pixels = np.ndarray[Any, Any]


class TrackedRun(Protocol):
    """What can be recorded of a run; methods may fail with a warning, they never raise."""

    run_id: str
    """Id at the tracking service; empty if the run is not recorded."""

    def send(self, journal: Journal) -> bool:
        """Send the records not yet sent, in order; whether all are there now."""

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Record numbers."""

    def tags(self, tags: Mapping[str, str]) -> None:
        """Set or replace tags."""

    def tag(self, name: str) -> str:
        """The value of a tag; empty if it is not set or not known."""

    def file(self, path: Path, folder: str = "") -> None:
        """Keep a file, or all files of a folder, as artifacts."""

    def figure(self, figure: Any, name: str) -> None:
        """Keep a matplotlib figure, e.g. as `curves.png`."""

    def image(self, pixels: Pixels, name: str) -> None:
        """Keep an RGB image, uint8 (H, W, 3), e.g. as `panels/first.png`."""

    def model(self, exported: Path, example: Pixels) -> None:
        """Keep and register an exported model.

        Args:
            exported: Folder written by `mila.export.export_model`.
            example: Consecutive RGB frames, uint8 (T, H, W, 3), T >= 2.
        """


class NullRun:
    """A run that nobody records."""

    run_id = ""

    def send(self, journal: Journal) -> bool:
        """Nowhere to send to; the records stay in the journal."""
        return True

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Not recorded."""

    def tags(self, tags: Mapping[str, str]) -> None:
        """Not recorded."""

    def tag(self, name: str) -> str:
        """Not known."""
        return ""

    def file(self, path: Path, folder: str = "") -> None:
        """Not recorded."""

    def figure(self, figure: Any, name: str) -> None:
        """Not recorded."""

    def image(self, pixels: Pixels, name: str) -> None:
        """Not recorded."""

    def model(self, exported: Path, example: Pixels) -> None:
        """Not recorded."""


def points_of(record: Record) -> dict[str, list[tuple[int, float]]]:
    """Metric -> (step, value) of a record; steps count updates over all stages.

    Names begin with the stage, because stages train different networks: what every update gave is
    `joint/train/loss` and stands at its own update; results of the report as a whole, such as
    `joint/val/semseg/mean_iou`, stand at the report's update.
    """
    report = record.report
    stage = report["stage"]
    last = int(report["total_update"])
    series = report.get("series", {})
    points = {
        f"{stage}/train/{name}": [
            (last - len(values) + 1 + i, float(v)) for i, v in enumerate(values)
        ]
        for name, values in series.items()
    }
    for name, value in report.get("metrics", {}).items():
        if name not in series:
            points[f"{stage}/{name}"] = [(last, float(value))]
    for name in ("clips_per_second", "wait_share"):
        if name in report:
            points[f"speed/{name}"] = [(last, float(report[name]))]
    return points
