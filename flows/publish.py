#!/usr/bin/env python3
"""Verb: keep the report page with the MLflow run of the evaluation it shows."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from mila.config import Params
from mila.overrides import Verb

VERB = Verb(
    name="python flows/publish.py",
    summary="Keep the report page with the MLflow run of its evaluation.",
    example="python flows/publish.py metrics=reports/metrics.json page=reports/index.html",
    arguments={
        "metrics": "results of flows/evaluate.py (reports/metrics.json)",
        "page": "page of pipeline.report (reports/index.html)",
    },
    sections=("tracking",),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 = done or nothing to keep it with, 2 = bad input."""
    return VERB.run(argv, _body)


def _body(params: Params, own: dict[str, str]) -> None:
    from flows.cluster import base_folder
    from flows.tracking import MlflowRun
    from flows.tracking_address import tracking_uri

    base = base_folder()
    metrics = base / own.get("metrics", "reports/metrics.json")
    page = base / own.get("page", "reports/index.html")
    for path in (metrics, page):
        if not path.is_file():
            raise ValueError(f"{path}: no such file; run the stage that writes it first")
    run_id = json.loads(metrics.read_text()).get("mlflow_run_id", "")
    if not (run_id and params.tracking.enabled):
        print(f"{metrics}: its evaluation was not recorded; the page stays at {page}")
        return
    MlflowRun(tracking_uri(base), run_id, "").file(page)
    print(f"{page}: kept with MLflow run {run_id}")


if __name__ == "__main__":
    sys.exit(main())
