"""One call on one GPU: render streets, train MILA and peers, evaluate them, time the paper presets.

Words: size=full (GPU) or dry (toy size, any device), minutes= all of it may take (8), kinds=
propagations, presets= timed ones, out= folder of gpu.json. Time decides how many clips and updates
there are, the same for every propagation; what it came to is in the file. Progress goes to standard
error, a table to standard output. Every finished part is in the file at once.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import measuring

DEFAULTS = {
    "size": "full",
    "minutes": "8",
    "kinds": "ila,copy,flow_warp,score_fusion,lvs",
    "presets": "paper,paper-s8,paper-half,paper-r50",
    "out": "benchmarks/results",
}
FULL = (
    *("preset=strong", "model.feature_stride=8", "model.propagation.radius=5"),
    *("train.slow.batch_size=16", "train.ema=0.99", "data.loader_workers=12"),
    *("evaluation.split=test", "evaluation.intervals=[1,2,3,5,10]"),
)
DRY = ("preset=smoke", "train.precision=float32")
# Shares of the whole time.
RENDERING, TIMING = 0.22, 0.10
STAGES = {"slow": 0.22, "fast": 0.09, "joint": 0.22}


def main(argv: Sequence[str]) -> int:
    """Run all parts; 0 = done, 2 = bad input."""
    if list(argv) in (["help"], ["--help"], ["-h"]):
        measuring.say(__doc__ or "")
        return 0
    values = measuring.words(DEFAULTS, argv)
    if values["size"] not in ("full", "dry"):
        measuring.say(f"unknown size={values['size']}; known: full dry")
        return 2
    import torch  # answers above come at once

    is_dry = values["size"] == "dry"
    if not is_dry and not torch.cuda.is_available():
        measuring.say("size=full needs a CUDA device, found none; size=dry runs anywhere")
        return 2
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="mila-gpu-") as folder:
        _run(values, Path(folder), is_dry=is_dry)
    return 0


def _run(values: dict[str, str], folder: Path, *, is_dry: bool) -> None:
    from gpu_timing import table, time_preset
    from gpu_training import find_updates, score, summary, train_joint, train_networks

    started = time.monotonic()
    seconds = 60 * float(values["minutes"])
    kinds = values["kinds"].split(",")
    page: dict[str, Any] = _circumstances(values)
    out = Path(values["out"]) / "gpu.json"

    def keep(part: str, value: Any) -> None:
        page[part] = value
        page["seconds"] = round(time.monotonic() - started, 1)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(page, indent=1) + "\n")

    bench = _bench(folder, seconds, len(kinds), is_dry=is_dry)
    keep("clips", _render(folder / "data", seconds, is_dry=is_dry))
    measuring.say(f"clips: {page['clips']}")
    updates = find_updates(bench)
    keep("updates", updates)
    measuring.say(f"updates: {updates}")
    networks = train_networks(bench, updates)
    pages = {}
    for kind in kinds:
        pages[kind] = score(bench, train_joint(bench, kind, updates, networks))
        keep("pages", {name: _kept(p) for name, p in pages.items()})
    timings = []
    for preset in values["presets"].split(","):
        measuring.say(f"timing {preset}")
        timings.append(
            time_preset(
                preset,
                device=bench.device,
                rounds=2 if is_dry else 20,
                shrink=16 if is_dry else 1,
            )
        )
        keep("timings", timings)
    print(f"{summary(kinds, pages)}\n\n{table(timings)}\n\n{page['seconds']} s; {out}")


def _bench(folder: Path, seconds: float, kinds: int, *, is_dry: bool) -> Any:
    import torch
    from gpu_training import STAGES as NAMES
    from gpu_training import Bench

    from mila.overrides import load_params

    root = f"data.root={folder / 'data'}"
    params = load_params([*(DRY if is_dry else FULL), root])
    shares = {**STAGES, "joint": STAGES["joint"] / kinds}
    return Bench(
        params=params,
        device="cuda" if torch.cuda.is_available() else "cpu",
        folder=folder,
        seconds={stage: 0.0 if is_dry else shares[stage] * seconds for stage in NAMES},
        pilot=2 if is_dry else 30,
    )


def _render(folder: Path, seconds: float, *, is_dry: bool) -> dict[str, int]:
    from gpu_data import World, render_shards

    if is_dry:
        clips = {"train": 4, "val": 1, "test": 1}
        return render_shards(World(32, 64, 4, clips, least=4, seconds=0.0), folder)
    clips = {"train": 800, "val": 6, "test": 40}
    return render_shards(World(256, 512, 12, clips, 64, RENDERING * seconds), folder)


def _kept(page: dict[str, Any]) -> dict[str, Any]:
    """A page without single frames and classes."""
    return {
        "keyframe_interval": page["keyframe_interval"],
        "methods": {
            name: {k: v for k, v in figures.items() if isinstance(v, float)}
            for name, figures in page["methods"].items()
        },
        "offsets": {
            method: [{k: f[k] for k in ("semseg/mean_iou", "depth/abs_rel")} for f in rows]
            for method, rows in page["offsets"].items()
        },
        "cost": page["cost"],
        "consistency": page["consistency"],
    }


def _circumstances(values: dict[str, str]) -> dict[str, Any]:
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {
        "bench": "gpu",
        **{key: values[key] for key in ("size", "minutes", "kinds", "presets")},
        "device": device,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": date.today().isoformat(),
        **measuring.circumstances(1),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
