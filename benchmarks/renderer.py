"""The street renderer: frames per second on one core, every label included.

    python benchmarks/renderer.py                       all sizes, about 1 minute
    python benchmarks/renderer.py cases=128x256 rounds=9 frames=12 table=false
    python benchmarks/renderer.py cases=tiny            seconds; what the tests run

A call builds one new world and renders a clip of it: images with sensor noise, classes, depth and
flow, nothing encoded or written. Every round draws another world. Before a size is timed, a clip is
rendered twice and has to come out the same to the byte, and its labels carried along its flow have
to be its labels; a wrong result prints no time and fails the run, a missed aim does with
strict=true. One thread, process CPU time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))
import measuring

from pipeline.world.clip import StreetClip, render_clip

SIZES = {"96x192": (96, 192), "128x256": (128, 256), "256x512": (256, 512)}
TINY = {"tiny": (32, 64)}
AIMS = {"128x256": 20.0}
LEAST_AGREEMENT = 0.98
COLUMNS = (
    *("case", "design", "frames_per_s_core", "aim", "ok", "median_ms", "min_ms", "p95_ms"),
    *("rounds", "label_agreement", "load1"),
)
DEFAULTS = {
    **{"cases": "all", "rounds": "9", "frames": "12"},
    **{"strict": "false", "table": "true"},
}


def clip(size: tuple[int, int], frames: int, index: int) -> StreetClip:
    """One new world."""
    height, width = size
    return render_clip(
        seed=7, split="bench", index=index, frames=frames, height=height, width=width, fps=17.0
    )


def check(size: tuple[int, int], frames: int) -> float:
    """Share of pixels whose label the flow carries over rightly; ends the program if too low."""
    first, second = clip(size, frames, 10**6), clip(size, frames, 10**6)
    pairs = [(first.images, second.images), (first.depth, second.depth)]
    if any(a.tobytes() != b.tobytes() for a, b in pairs):
        raise SystemExit(f"{size}: the same world came out different")
    agreement = carried(first)
    if agreement < LEAST_AGREEMENT:
        raise SystemExit(f"{size}: labels carried by the flow agree to {agreement:.3f} only")
    return agreement


def carried(street: StreetClip) -> float:
    """How many labels of the frame before, fetched along the flow, are those of the frame."""
    frames, height, width = street.semseg.shape
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    known = ~np.isnan(street.flow[1:, ..., 0])
    place = np.nan_to_num(street.flow[1:]) + np.stack([columns, rows], -1)
    place = np.floor(place + 0.5).astype(int)
    before = street.semseg[np.arange(frames - 1)[:, None, None], place[..., 1], place[..., 0]]
    return float((before == street.semseg[1:])[known].mean())


def measure(name: str, size: tuple[int, int], values: dict[str, str]) -> dict[str, object]:
    """The line of one size."""
    frames = int(values["frames"])
    agreement = check(size, frames)
    timings = measuring.interleave(
        {"render": lambda index: lambda: clip(size, frames, index + 1)},
        rounds=int(values["rounds"]),
        slow_rounds=int(values["rounds"]),
        threads=1,
    )
    times = timings["render"].line()
    rate = 1e3 * frames / times["median_ms"]
    aim = AIMS.get(name)
    return {
        **{"bench": "renderer", "case": f"{name}, {frames} frames", "design": "culled ray caster"},
        **{"frames_per_s_core": round(rate, 1), "aim": aim and f"frames_per_s_core>={aim:g}"},
        **{"ok": aim is None or rate >= aim, **times, "label_agreement": round(agreement, 4)},
        **measuring.circumstances(1),
    }


def main(argv: Sequence[str]) -> int:
    """Run the cases that the words name."""
    if list(argv) in (["help"], ["--help"], ["-h"]):
        measuring.say(__doc__ or "")
        return 0
    values = measuring.words(DEFAULTS, argv)
    cv2.setNumThreads(1)
    lines: list[dict[str, object]] = []
    for name, size in measuring.chosen(values["cases"], SIZES, TINY).items():
        measuring.say(name)
        lines.append(measure(name, size, values))
        measuring.emit(lines[-1])
    return measuring.finish("renderer", lines, COLUMNS, values)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
