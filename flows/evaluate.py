#!/usr/bin/env python3
"""Verb: score an exported model at every keyframe interval, beside the networks it is made of."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from mila.config import Params
from mila.overrides import Verb

VERB = Verb(
    name="python flows/evaluate.py",
    summary="Score slow, fast, copied keyframes and MILA on a split, and measure cost and time.",
    example="python flows/evaluate.py model=models/mila data.root=data/street "
    "out=reports/metrics.json",
    arguments={
        "model": "folder of the exported model (models/mila)",
        "out": "JSON file to write; pictures go to evaluation/ beside it (reports/metrics.json)",
        "single_task": "pages of single-task models, comma between them, for delta_m (none)",
        "adaptive": "shares of frames to refresh early, comma between them: adaptive keyframes "
        "beside fixed ones at their cost (none)",
    },
    sections=("data", "evaluation", "tracking"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 = done, 2 = bad input."""
    words = list(sys.argv[1:] if argv is None else argv)

    def body(params: Params, own: dict[str, str]) -> None:
        from flows.cluster import base_folder
        from flows.evaluation_run import Request, run_evaluation  # torch is slow to import
        from mila.results import table

        base = base_folder()
        out = base / own.get("out", "reports/metrics.json")
        page = run_evaluation(
            params,
            Request(
                model=own.get("model", "models/mila"),
                out=out,
                command=shlex.join(["python", "flows/evaluate.py", *words]),
                single_task=[base / p for p in own.get("single_task", "").split(",") if p],
                base=base,
                adaptive=[_share(text) for text in own.get("adaptive", "").split(",") if text],
            ),
        )
        print(table(page))
        saved = 100 * page["gmac_saved"]
        print(f"{saved:.1f} % fewer GMAC than slow on every frame; written: {out}")

    return VERB.run(words, body)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError(f"adaptive={text}: expected numbers in 0..1, comma between them")
    return share


if __name__ == "__main__":
    sys.exit(main())
