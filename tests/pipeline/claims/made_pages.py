"""Made-up pages of a grid with known differences, and the page of results written from them."""

import json
from pathlib import Path
from typing import Any

from pipeline.results import main

GRID = """
rows:
  ila: {group: propagation, title: ILA}
  warp: {group: propagation, title: flow warp}
  align_none: {group: alignment, title: neither}
  ts: {group: options, title: TS}
"""


def figures(iou: float, error: float, gmac: float) -> dict[str, Any]:
    return {"semseg/mean_iou": iou, "depth/abs_rel": error, "gmac_per_frame": gmac}


def page(row: str, seed: int, *, gain: float = 0.0, **changes: Any) -> dict[str, Any]:
    """Of a method whose mean IoU falls by 0.01 a frame, `gain` above ILA's."""
    iou, error = 0.70 + gain + 0.001 * seed, 0.16 - gain
    by_age = [{"semseg": 0.72, "depth": 0.15}]
    by_age += [{"semseg": iou - 0.01 * age, "depth": error + 0.005 * age} for age in range(1, 10)]

    def methods(interval: int) -> dict[str, Any]:
        ages = by_age[:interval]
        mean = {task: sum(a[task] for a in ages) / interval for task in ("semseg", "depth")}
        mila = figures(mean["semseg"], mean["depth"], 0.2)
        mila["worst"] = {"semseg/mean_iou": ages[-1]["semseg"], "depth/abs_rel": ages[-1]["depth"]}
        return {
            "slow": figures(0.72, 0.15, 0.7),
            "fast": figures(0.64, 0.18, 0.05),
            "copy": figures(0.60, 0.20, 0.14),
            "mila": mila,
        }

    whole = {
        "row": row,
        "seed": seed,
        "group": "propagation",
        "title": {"ila": "ILA", "warp": "flow warp"}.get(row, row),
        "about": "as it is",
        "method": "mila",
        "settings": {},
        "by_interval": {str(k): {"gmac_saved": 0.71, "methods": methods(k)} for k in (1, 2, 5, 10)},
        "offsets": {"mila": by_age, "copy": by_age},
        "consistency": {
            name: {"semseg/consistency": 0.8, "depth/log_change": 0.01}
            for name in ("truth", "slow", "mila", "mila_refresh")
        },
        "cost": {"propagation_gmac": 0.002 if row == "ila" else 0.04},
        "keyframe_interval": 5,
        "scored": {"clips": 4, "frames": {"5": 12}},
        "size": {"height": 96, "width": 192},
        "data": {"root": "data/street", "split": "test", "fingerprint": "f" * 64},
        "updates_and_batch": {"slow": [0, 8], "fast": [0, 16], "joint": [600, 16]},
        "hardware": {"cpu": "some processor", "cores": 2},
        "command": f"python flows/grid.py rows={row} seeds={seed}",
        "commit": "c" * 40,
        "date": "2026-11-23T12:00:00+00:00",
    }
    return {**whole, **changes}


def keep(folder: Path, kept: dict[str, Any]) -> None:
    (folder / f"{kept['row']}-s{kept['seed']}.json").write_text(json.dumps(kept))


def written(folder: Path) -> str:
    out = folder.parent / "results.md"
    grid = folder.parents[1] / "street.yaml"
    assert main([f"pages={folder}", f"out={out}", f"grid={grid}"]) == 0
    return out.read_text()
