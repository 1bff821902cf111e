#!/usr/bin/env python3
"""Train the networks on shards; goes on where it was interrupted, returns at once when finished.

Exit codes: 0 done, 1 failed (the same command goes on from the last checkpoint), 2 refused with a
sentence (bad input, another identity under this name, a live other trainer), 130 interrupted.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from mila.config import Params
from mila.data.storage import StorageError
from mila.overrides import Verb

VERB = Verb(
    name="flows/train.py",
    summary="Train the slow, fast and joint stages on shards, on Ray or in this process.",
    example="python flows/train.py data.root=data/street cluster.num_workers=2",
    arguments={
        "name": "name of the run; by default made of settings, data and sources",
        "out": "folder for the exported model (models/mila)",
        "report": "file for the results (reports/train.json)",
        "wait": "seconds to wait for another trainer of the same run (0 = refuse at once)",
        "accept": "accept=sources goes on with a run although sources changed since it began",
    },
    sections=("data", "model", "loss", "train", "cluster", "tracking"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb."""
    return VERB.run(argv, _body)


def _body(params: Params, own: dict[str, str]) -> int:
    from flows.cluster import base_folder
    from flows.journal import TakenOverError
    from flows.launch import TrainingError
    from flows.training import Order, train

    if own.get("accept", "sources") != "sources":
        raise ValueError(f"accept={own['accept']}: expected accept=sources")
    base = base_folder()
    order = Order(
        name=own.get("name", ""),
        out=base / own.get("out", "models/mila"),
        report=base / own.get("report", "reports/train.json"),
        wait_s=_seconds(own.get("wait", "0")),
        accept_sources="accept" in own,
    )
    try:
        outcome = train(params, order, say=lambda text: print(text, flush=True))
    except (TrainingError, TakenOverError, StorageError, FloatingPointError) as error:
        print(f"{VERB.name}: {error}", file=sys.stderr)
        return 1
    print(f"model {order.out}  results {order.report}  run {outcome.run}")
    return 0


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"wait={text}: expected a number of seconds") from None


if __name__ == "__main__":
    sys.exit(main())
