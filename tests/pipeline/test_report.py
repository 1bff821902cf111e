"""The report verb: one page, the same bytes again, no request to anywhere, bad input refused."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mila.panels import Panel, Tile, write_panels
from pipeline.report import main

_VOID = {"meta", "img", "br", "line", "circle", "rect", "polyline"}


def _figures(iou: float, abs_rel: float, gmac: float) -> dict[str, Any]:
    return {
        "semseg/mean_iou": iou,
        "depth/abs_rel": abs_rel,
        "gmac_per_frame": gmac,
        "ms_mean": 5.0,
        "ms_max": 9.0,
        "class_iou": {"semseg": {"road": iou, "sky": iou / 2, "train": None}},
    }


def _results() -> dict[str, Any]:
    methods = {
        "slow": _figures(0.74, 0.20, 1.0),
        "fast": _figures(0.61, 0.33, 0.1),
        "copy": _figures(0.58, 0.41, 0.2),
        "mila": _figures(0.72, 0.22, 0.25),
    }
    ages = {
        "copy": [{"semseg/mean_iou": 0.74 - 0.1 * o, "depth/abs_rel": 0.2} for o in range(3)],
        "mila": [{"semseg/mean_iou": 0.74 - 0.01 * o, "depth/abs_rel": 0.2} for o in range(3)],
    }
    spread = {"count": 3, "mean": 6.0, "median": 6.0, "p95": 9.0, "max": 9.0}
    trace = [{"milliseconds": 9.0 - 3 * (i % 3), "keyframe": i % 3 == 0} for i in range(6)]
    return {
        "keyframe_interval": 3,
        "label_set": "cityscapes",
        "methods": methods,
        "offsets": ages,
        "by_interval": {k: {"methods": methods, "gmac_saved": 0.75} for k in ("1", "2", "3")},
        "gmac_saved": 0.75,
        "latency": {"slow": spread, "non_keyframes": {**spread, "median": 2.0}, "trace": trace},
        "consistency": {"mila": {"semseg/consistency": 0.83}},
        "size": {"height": 32, "width": 48},
        "hardware": {"cpu": "A <processor>", "device": "cpu", "threads": 1},
        "data": {"root": "data/street", "split": "test", "fingerprint": "ab" * 32},
        "scored": {"clips": 4, "frames": {"3": 12}},
        "model": {"path": "models/mila", "sha256": "cd" * 32},
        "command": "python flows/evaluate.py",
        "commit": "0" * 40,
        "date": "2026-01-01T00:00:00+00:00",
        "notes": [],
    }


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    """Results with pictures, sweep and training beside them."""
    path = tmp_path / "reports" / "metrics.json"
    picture = np.full((8, 12, 3), 90, np.uint8)
    write_panels(
        path.parent / "evaluation", [Panel("semseg: test-00, frame 2", (Tile("Image", picture),))]
    )
    path.write_text(json.dumps(_results()))
    rows = [
        {
            "keyframe_interval": k,
            "radius": 4,
            "val/semseg/mean_iou": 0.6 + k / 100,
            "val/semseg/pixel_accuracy": 0.9 + k / 1000,
        }
        for k in (3, 5)
    ]
    (path.parent / "sweep.json").write_text(json.dumps({"rows": rows}))
    curves = {"slow": {"loss": [[10, 2.0], [20, 1.0]]}}
    (path.parent / "train.json").write_text(json.dumps({"curves": curves}))
    return path


class _Checked(HTMLParser):
    """Collects what is referred to, and checks that tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [v or "" for k, v in attrs if k in ("src", "href", "srcset")]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag in _VOID or self.open.pop() == tag


def test_the_page_holds_every_section_and_asks_nobody(metrics: Path) -> None:
    out = metrics.with_name("index.html")

    assert main([f"metrics={metrics}", f"out={out}"]) == 0

    page = out.read_text()
    headings = re.findall("<h2>(.*?)</h2>", page)
    assert headings == [
        "Methods, with a keyframe every 3 frames",
        "Accuracy against cost",
        "Accuracy against the age of the keyframe",
        "All intervals",
        "Time of every frame",
        "Pictures",
        "Classes",
        "Steadiness",
        "Sweep",
        "Training",
        "How it was measured",
    ]
    assert "needs 75 % fewer multiply-adds" in page
    assert "mean IoU is 72.0 % against 74.0 %" in page
    assert "3.0 times" in page  # 6 ms of slow against 2 ms between keyframes
    assert "Segmentation: test-00, frame 2" in page
    assert page.count('<rect class="c-key"') == 2
    assert page.count('<rect class="c-mila"') == 4
    assert "<th>Keyframe every</th><th>Mean IoU</th></tr>" in page  # Equal radii say nothing.
    assert "pixel_accuracy" not in page
    assert "A &lt;processor&gt;" in page
    assert "train</td>" not in page  # A class that never occurs has no IoU.
    checked = _Checked()
    checked.feed(page)
    assert checked.open == []
    assert checked.sources
    assert all(source.startswith("data:image/png;base64,") for source in checked.sources)
    assert not re.search(r"https?://|@import|url\(|<script|<link", page)


def test_equal_input_gives_equal_bytes(metrics: Path, tmp_path: Path) -> None:
    pages = [tmp_path / "a.html", tmp_path / "b.html"]

    for page in pages:
        assert main([f"metrics={metrics}", f"out={page}"]) == 0

    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_results_alone_are_enough(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.json"
    metrics.write_text(json.dumps(_results()))

    assert main([f"metrics={metrics}", f"out={tmp_path / 'index.html'}"]) == 0

    page = (tmp_path / "index.html").read_text()
    assert "<h2>Classes</h2>" in page
    assert not any(f"<h2>{name}</h2>" in page for name in ("Pictures", "Sweep", "Training"))


@pytest.mark.parametrize(
    "name, text, sentence",
    [
        ("metrics.json", None, "metrics.json: no such file; run the stage that writes it first"),
        ("metrics.json", "{", "metrics.json: not JSON"),
        ("metrics.json", "{}", "metrics.json: expected results with 'methods'"),
        ("sweep.json", "{}", "sweep.json: expected one row per trial"),
        ("train.json", "[]", "train.json: expected results with 'curves'"),
        ("evaluation/0-0.png", None, "0-0.png: picture is missing; evaluate again"),
        ("evaluation/index.json", None, "no pictures here (index.json is missing)"),
    ],
)
def test_bad_input_is_one_sentence_and_no_page(
    name: str, text: str | None, sentence: str, metrics: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is None:
        (metrics.parent / name).unlink()
    else:
        (metrics.parent / name).write_text(text)
    out = metrics.with_name("index.html")

    assert main([f"metrics={metrics}", f"out={out}"]) == 2

    assert sentence in capsys.readouterr().err
    assert not out.exists()
