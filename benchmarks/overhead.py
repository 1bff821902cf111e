"""What Ray costs a training: time of an update under Ray Train against the same loop without Ray.

    python benchmarks/overhead.py                     5 runs of each, about 8 minutes
    python benchmarks/overhead.py rounds=2 table=false
    python benchmarks/overhead.py case=tiny           a minute; what the tests run

Runs of `flows/train.py` take turns, plain, ray, plain, ray, ...: the joint stage with one worker of
one thread on rendered street clips, the data on the local disk, nothing sent to MLflow. Between two
reports a run measures its own pace; the first such window of a run warms up and is left out.
`update` is the median of these windows over all runs: the steady state, with loading and without
validation and checkpoints. `update, with reports` is the time from one committed report to the
next, validation, checkpoint, journal and Ray's barriers included; it has no aim, for it depends on
`train.report_every`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))
import measuring

RUN_LIMIT_S = 400
AIM = 1.05
WORKERS = {"plain": 0, "ray": 1}
COLUMNS = (
    *("case", "design", "median_ms", "ratio", "aim", "ok", "min_ms", "p95_ms", "windows", "runs"),
    "load1",
)
DEFAULTS = {"case": "96x192", "rounds": "5", "strict": "false", "table": "true"}


@dataclass(frozen=True)
class Case:
    """What is trained."""

    updates: int
    report_every: int
    batch_size: int
    words: tuple[str, ...] = ()


CASES = {
    "96x192": Case(
        updates=30,
        report_every=5,
        batch_size=8,
        words=("world.train_clips=16", "world.val_clips=2", "world.test_clips=1"),
    ),
    "tiny": Case(updates=6, report_every=2, batch_size=4, words=("preset=smoke",)),
}


@dataclass(frozen=True)
class Run:
    """Milliseconds of an update in every window of a run but the first.

    Attributes:
        steady: Between reports.
        whole: From report to report.
    """

    steady: tuple[float, ...]
    whole: tuple[float, ...]


def make_data(case: Case, folder: Path) -> Path:
    """Shards of rendered clips."""
    given = [word for word in case.words if word.startswith(("world.", "preset="))]
    for verb, words in (
        ("synthesize", [*given, f"out={folder}/raw"]),
        ("shard", [f"raw={folder}/raw", f"out={folder}/shards"]),
    ):
        _call(["-m", f"pipeline.{verb}", *words])
    return folder / "shards"


def train(case: Case, folder: Path, name: str, workers: int) -> Run:
    """One run of flows/train.py; its pace is read from its journal."""
    own = [word for word in case.words if word.startswith("preset=")]
    words = [
        *own,
        *("train.slow.updates=0", "train.fast.updates=0", f"train.joint.updates={case.updates}"),
        f"train.joint.batch_size={case.batch_size}",
        f"train.report_every={case.report_every}",
        *(f"cluster.num_workers={workers}", "cluster.cpus_per_worker=1"),
        *(f"cluster.storage={folder}/runs", f"data.root={folder}/shards"),
        *("tracking.enabled=false", f"name={name}"),
        *(f"out={folder}/{name}", f"report={folder}/{name}.json"),
    ]
    _call(["flows/train.py", *words])
    journal = sorted((folder / "runs" / name / "journal").glob("*.json"))
    records = [json.loads(path.read_text()) for path in journal]
    rates = [record["report"]["clips_per_second"] for record in records]
    times = [record["time"] for record in records]
    return Run(
        steady=tuple(1e3 * case.batch_size / rate for rate in rates[1:]),
        whole=tuple(1e3 * (b - a) / case.report_every for a, b in pairwise(times)),
    )


def _call(words: Sequence[str]) -> None:
    """Run Python as a user would, on this machine alone."""
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=measuring.ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=RUN_LIMIT_S,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)}\nended with {done.returncode}:\n{done.stderr}")


def lines_of(name: str, runs: dict[str, list[Run]]) -> list[dict[str, object]]:
    """A line per design, for the steady state and with reports."""
    lines: list[dict[str, object]] = []
    for what, kind in (("update", "steady"), ("update, with reports", "whole")):
        medians: dict[str, float] = {}
        for design, done in runs.items():
            times = sorted(x for run in done for x in getattr(run, kind))
            medians[design] = statistics.median(times)
            ratio = medians[design] / medians["plain"]
            aimed = design == "ray" and kind == "steady"
            lines.append(
                {
                    **{"bench": "overhead", "case": f"{name}, {what}", "design": design},
                    **{"median_ms": round(medians[design], 2), "ratio": round(ratio, 4)},
                    "aim": f"ratio<={AIM}" if aimed else None,
                    "ok": not aimed or ratio <= AIM,
                    "min_ms": round(times[0], 2),
                    "p95_ms": round(times[min(len(times) - 1, int(0.95 * len(times)))], 2),
                    **{"windows": len(times), "runs": len(done)},
                    **{**measuring.circumstances(1), "clock": "wall"},
                }
            )
    return lines


def main(argv: Sequence[str]) -> int:
    """Run the case that the words name."""
    if list(argv) in (["help"], ["--help"], ["-h"]):
        measuring.say(__doc__ or "")
        return 0
    values = measuring.words(DEFAULTS, argv)
    if values["case"] not in CASES:
        measuring.say(f"unknown case={values['case']}; known: {' '.join(CASES)}")
        return 2
    case = CASES[values["case"]]
    runs: dict[str, list[Run]] = {design: [] for design in WORKERS}
    with tempfile.TemporaryDirectory() as folder:
        make_data(case, Path(folder))
        for index in range(int(values["rounds"])):
            for design, workers in WORKERS.items():
                runs[design].append(train(case, Path(folder), f"{design}-{index}", workers))
                last = statistics.median(runs[design][-1].steady)
                measuring.say(f"{design} {index + 1}: {last:.1f} ms an update")
    lines = lines_of(values["case"], runs)
    for line in lines:
        measuring.emit(line)
    return measuring.finish("overhead", lines, COLUMNS, values)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
