"""The whole page: sections in their order, style sheet inside, no request to anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from pipeline.page import sections
from pipeline.page.html import table
from pipeline.page.pictures import class_legend, panels
from pipeline.page.training_sections import sweep_table, training_charts

Page = Mapping[str, Any]

_STYLE = Path(__file__).with_name("style.css")


@dataclass(frozen=True)
class Inputs:
    """What the page is made of.

    Attributes:
        results: As `flows/evaluate.py` wrote it.
        pictures: Folder of panels; None leaves the section out.
        training: As `flows/train.py` wrote it, or None.
        sweep: Rows of `flows/tune.py`, one per trial, or None.
    """

    results: Page
    pictures: Path | None = None
    training: Page | None = None
    sweep: Sequence[Page] | None = None


@dataclass(frozen=True)
class _Section:
    title: str
    words: str
    body: str


def document(inputs: Inputs) -> str:
    """The page; equal inputs give equal text."""
    page = inputs.results
    blocks = "".join(
        f"<section><h2>{escape(section.title)}</h2><p>{section.words}</p>{section.body}</section>"
        for section in _sections(inputs)
        if section.body
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>MILA: results</title><style>{_STYLE.read_text()}</style></head><body><main>"
        "<header><h1>MILA: multi-task learning from video</h1>"
        f"{sections.top(page)}</header>{blocks}{_footer(page)}</main></body></html>\n"
    )


def _sections(inputs: Inputs) -> Sequence[_Section]:
    page = inputs.results
    interval = page["keyframe_interval"]
    found = [
        _Section(
            f"Methods, with a keyframe every {interval} frames",
            "Means over all offsets from the keyframe, keyframes included; every frame is scored at"
            " every offset. Copied keyframes and MILA use the slow network on keyframes alone.",
            sections.method_table(page),
        ),
        _Section(
            "Accuracy against cost",
            "Each dot is a keyframe interval K. GMAC: billions of multiply-adds, heads included.",
            sections.method_legend() + sections.cost_charts(page),
        ),
        _Section(
            "Accuracy against the age of the keyframe",
            "The same frames are scored at every age; only the keyframe moves away.",
            sections.method_legend() + sections.offset_charts(page),
        ),
        _Section(
            "All intervals",
            "GMAC saved is against the slow network on every frame; accuracy is the mean over all"
            " offsets of the interval.",
            sections.interval_table(page),
        ),
        _Section("Time of every frame", _latency_words(page), sections.latency_chart(page)),
    ]
    if inputs.pictures is not None:
        found.append(
            _Section(
                "Pictures",
                "Frames of the split that was scored, at the largest offset of the interval. Errors"
                " of classes are red; errors of depth are brighter the larger they are. In depth,"
                " near is bright, and the sky, which has none, is black. Coloured rings mark"
                " pixels of the frame; the same colours show"
                " where they look on the keyframe.",
                class_legend(page["label_set"]) + panels(inputs.pictures),
            )
        )
    found += [
        _Section("Classes", "All offsets pooled.", sections.class_table(page)),
        _Section(
            "Steadiness",
            "Agreement of neighbouring frames along the true motion, over pixels seen in both:"
            " mean IoU of classes (more is steadier), and mean change of the logarithm of depth"
            " (less is steadier; the labels themselves change as the camera moves).",
            sections.consistency_table(page),
        ),
    ]
    if inputs.sweep is not None:
        found.append(
            _Section(
                "Sweep", "One row per trial, on the validation split.", sweep_table(inputs.sweep)
            )
        )
    if inputs.training is not None:
        found.append(
            _Section(
                "Training",
                "Loss and validation, a line per stage.",
                training_charts(inputs.training),
            )
        )
    return found


def _latency_words(page: Page) -> str:
    hardware = page["hardware"]
    return (
        f"The model alone, one frame at a time, {page['size']['height']} x {page['size']['width']}"
        f" pixels, on {escape(str(hardware['cpu']))} ({hardware['device']},"
        f" {hardware['threads']} thread{'s' if hardware['threads'] != 1 else ''})."
    )


def _footer(page: Page) -> str:
    """How it was measured."""
    data, scored = page["data"], page["scored"]
    frames = scored["frames"][str(page["keyframe_interval"])]
    rows = [
        [
            "Data",
            f"{data['root']}, split {data['split']}, {scored['clips']} clips, {frames} frames"
            " scored at every offset",
        ],
        ["Data fingerprint", data["fingerprint"]],
        ["Model", f"{page['model']['path']}, weights {page['model']['sha256'][:16]}"],
        ["Hardware", ", ".join(f"{k} {v}" for k, v in page["hardware"].items())],
        ["Command", page["command"]],
        ["Commit", page["commit"]],
        ["Date", page["date"]],
        *(["Note", note] for note in page["notes"]),
    ]
    cells = [[name, f"<code>{escape(str(text))}</code>"] for name, text in rows]
    return f"<footer><h2>How it was measured</h2>{table(['', ''], cells)}</footer>"
