#!/usr/bin/env python3
"""Verb: draw segmentation and depth over a film, frame by frame, and time every frame."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from mila.config import Params
from mila.overrides import Verb

VERB = Verb(
    name="python flows/predict.py",
    summary="Answer a film or a folder of pictures frame by frame: overlay.mp4 and latency.json.",
    example="python flows/predict.py input=drive.mp4 model=models/mila out=reports/drive",
    arguments={
        "input": "required: film, or folder of pictures in the order of their names",
        "out": "required: folder for overlay.mp4 and latency.json",
        "model": "folder of the exported model (models/mila)",
        "keyframe_interval": "frames from one keyframe to the next (evaluation.keyframe_interval)",
        "uncertainty": "0..1: also a keyframe when attention is less certain than this (off)",
        "height": "height at which the model sees the film, pixels (world.height)",
        "frames": "answer only so many frames (all)",
    },
    sections=("evaluation",),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 = done, 2 = bad input."""
    return VERB.run(argv, _body)


def _body(params: Params, own: dict[str, str]) -> None:
    from flows.cluster import base_folder
    from flows.prediction_run import Request, run_prediction  # torch is slow to import
    from mila.keyframes import AdaptiveSchedule, FixedSchedule

    interval = _whole("keyframe_interval", own, params.evaluation.keyframe_interval)
    schedule = (
        AdaptiveSchedule(threshold=_share("uncertainty", own["uncertainty"]), longest=interval)
        if "uncertainty" in own
        else FixedSchedule(interval)
    )
    base = base_folder()
    request = Request(
        source=base / own["input"],
        model=base / own.get("model", "models/mila"),
        out=base / own["out"],
        rows=_whole("height", own, params.world.height),
        schedule=schedule,
        frames=_whole("frames", own, 0) or None,
    )
    summary = run_prediction(request, params.evaluation)["summary"]
    for name, times in summary.items():
        print(
            f"{name}: {times['count']} frames, {times['mean']:.1f} ms mean, "
            f"{times['median']:.1f} median, {times['p95']:.1f} p95, {times['max']:.1f} max"
        )
    print(f"written: {request.out}")


def _whole(name: str, own: dict[str, str], default: int) -> int:
    text = own.get(name, str(default))
    if not text.isdecimal() or (name in own and int(text) < 1):
        raise ValueError(f"{name}={text}: expected a whole number, 1 or more")
    return int(text)


def _share(name: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError(f"{name}={text}: expected a number in 0..1")
    return share


if __name__ == "__main__":
    sys.exit(main())
