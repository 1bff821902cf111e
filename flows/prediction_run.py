"""Answer a film or a folder of pictures frame by frame; draw the answers and time them.

Writes `overlay.mp4` and `latency.json`; both appear when the whole input has been answered.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flows.counting import Counting
from mila.config import EvaluationSettings
from mila.data.video import VideoFrame, VideoWriter, probe, read_frames, resized, working_size
from mila.export import load_exported
from mila.keyframes import Schedule
from mila.latency import Trace, hardware, spread, torch_threads, traced, warm_up
from mila.overlay import Overlay
from mila.panels import Painter
from mila.streaming import Frame, stream
from mila.tasks import LABEL_SETS

OVERLAY_NAME = "overlay.mp4"
LATENCY_NAME = "latency.json"
_MULTIPLE = 16
"""Strides of the encoders go up to this."""


@dataclass(frozen=True)
class Request:
    """What shall be answered.

    Attributes:
        source: Film, or folder of pictures in the order of their names.
        model: Folder of the exported model.
        out: Folder to write to.
        rows: Height at which the model sees the frames, pixels, rounded to a multiple of 16.
        schedule: When keyframes are due.
        frames: Answer only so many frames; None = all.
    """

    source: Path
    model: Path
    out: Path
    rows: int
    schedule: Schedule
    frames: int | None = None


def run_prediction(request: Request, settings: EvaluationSettings) -> dict[str, Any]:
    """Answer the whole input and write both files.

    Returns:
        What was written to `latency.json`.

    Raises:
        ValueError: If the input is missing, empty or cannot be decoded; no file is left then.
    """
    info = probe(request.source)
    total = request.frames if info.frames is None else info.frames
    if request.frames is not None and total is not None:
        total = min(total, request.frames)
    with _folder(request.out):
        with VideoWriter(request.out / OVERLAY_NAME, fps=info.fps) as film:
            trace = _answer(request, settings, film, Counting("frames", total))
        page = _page(request, settings, trace)
        _write(request.out / LATENCY_NAME, page)
    return page


def _answer(
    request: Request, settings: EvaluationSettings, film: VideoWriter, counting: Counting
) -> list[Trace]:
    """Walk over the frames and draw each answer."""
    device = _device()
    model = load_exported(request.model, device=device)
    painter = Painter(LABEL_SETS[model.settings.label_set], settings.depth_limit)
    frames = itertools.islice(read_frames(request.source), request.frames)
    first = next(frames)
    drawing = Overlay(painter, model.tasks, first.picture.shape[:2])
    seen, shown = itertools.tee(itertools.chain([first], frames))
    trace: list[Trace] = []
    with torch_threads(settings.threads):
        warm_up(model, _seen(first, request.rows, device))
        answers = stream(model, (_seen(f, request.rows, device) for f in seen), request.schedule)
        for frame, answer in zip(shown, answers, strict=True):
            trace.append(traced(answer))
            film.add(drawing.draw(frame.picture, answer.predictions, trace[-1]))
            counting.show(len(trace))
    return trace


def _seen(frame: VideoFrame, rows: int, device: torch.device) -> Frame:
    """A frame as the model sees it."""
    height, width = frame.picture.shape[:2]
    size = working_size(height, width, rows=rows, multiple=_MULTIPLE)
    picture = np.ascontiguousarray(resized(frame.picture, size).transpose(2, 0, 1))
    return Frame(torch.from_numpy(picture)[None].to(device), frame.cut)


def _page(request: Request, settings: EvaluationSettings, trace: Sequence[Trace]) -> dict[str, Any]:
    """Times of every frame and their summary; the model alone, without decoding and drawing."""
    groups = {
        "keyframes": [time.milliseconds for time in trace if time.keyframe],
        "non_keyframes": [time.milliseconds for time in trace if not time.keyframe],
        "all": [time.milliseconds for time in trace],
    }
    spreads = {name: spread(values) for name, values in groups.items()}
    return {
        "input": request.source.name,
        "model": request.model.name,
        "schedule": {"kind": type(request.schedule).__name__, **vars(request.schedule)},
        "rows": request.rows,
        "hardware": {**hardware(_device()), "threads": settings.threads},
        "summary": {name: asdict(value) for name, value in spreads.items() if value is not None},
        "frames": [{"index": i, **asdict(time)} for i, time in enumerate(trace)],
    }


def _write(path: Path, page: dict[str, Any]) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(page, indent=1) + "\n")
    partial.replace(path)


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[None]:
    """A folder to write to; if it is new and the block fails, it goes again."""
    is_new = not path.exists()
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
