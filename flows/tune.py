#!/usr/bin/env python3
"""Sweep keyframe interval and attention radius on Ray Tune; goes on where it was interrupted.

Exit codes: 0 done, 1 trials failed (the same command tries those again), 2 refused with a sentence,
130 interrupted.
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from mila.config import Params
from mila.data.storage import StorageError
from mila.overrides import Verb

VERB = Verb(
    name="flows/tune.py",
    summary="Train the joint stage at every point of a grid, from the encoders of a trained model.",
    example="python flows/tune.py model=models/mila out=reports/sweep.json",
    arguments={
        "model": "folder of the exported model every trial starts from (models/mila)",
        "out": "file for the results (reports/sweep.json)",
    },
    sections=("sweep", "data", "model", "loss", "train", "cluster", "tracking"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb."""
    words = list(sys.argv[1:] if argv is None else argv)

    def body(params: Params, own: dict[str, str]) -> int:
        return _body(params, own, shlex.join(["python", "flows/tune.py", *words]))

    return VERB.run(words, body)


def _body(params: Params, own: dict[str, str], command: str) -> int:
    from flows.cluster import base_folder
    from flows.journal import TakenOverError
    from flows.launch import TrainingError
    from flows.search import SweepOrder, sweep

    base = base_folder()
    order = SweepOrder(
        model=own.get("model", "models/mila"),
        out=base / own.get("out", "reports/sweep.json"),
        command=command,
        base=base,
    )
    try:
        page = sweep(params, order, say=lambda text: print(text, flush=True))
    except (TrainingError, TakenOverError, StorageError, FloatingPointError) as error:
        print(f"{VERB.name}: {error}", file=sys.stderr)
        return 1
    print(f"{len(page['trials'])} trials  results {order.out}  run {page['run']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
