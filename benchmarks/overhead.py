"""What Ray costs a training: time of an update under Ray Train against the same loop without Ray.

    python benchmarks/overhead.py                        5 runs of each, about 10 minutes
    python benchmarks/overhead.py cases=one-thread rounds=2 table=false
    python benchmarks/overhead.py cases=tiny             a minute; what the tests run

Runs of `flows/train.py` take turns, plain, ray, plain, ray, ...: the joint stage with one worker on
rendered street clips, the data on the local disk, nothing sent to MLflow. `one-thread` computes on
one core and leaves the rest of the machine to the loader and to Ray's own processes: it compares
the loops. `two-threads` computes on two: on a machine of two cores it also shows what those
processes take.

Between two reports a run measures its own pace; the first such window of a run warms up and is left
out. `update` is the median of these windows over all runs: the steady state, with loading and
without validation and checkpoints. `update, with reports` is the time from one committed report to
the next, validation, checkpoint, journal and Ray's barriers included; it has no aim, for it depends
on `train.report_every`.
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

from flows.cluster import ENVIRONMENT

RUN_LIMIT_S = 400
AIM = 1.05
WORKERS = {"plain": 0, "ray": 1}
COLUMNS = (
    *("case", "design", "median_ms", "ratio", "aim", "ok", "min_ms", "p95_ms", "windows", "runs"),
    *("threads", "load1"),
)
DEFAULTS = {"cases": "all", "rounds": "5", "strict": "false", "table": "true"}


@dataclass(frozen=True)
class Case:
    """What is trained."""

    threads: int = 1
    updates: int = 60
    report_every: int = 10
    batch_size: int = 8
    preset: tuple[str, ...] = ()


CASES = {"one-thread": Case(threads=1), "two-threads": Case(threads=2)}
TINY = {"tiny": Case(updates=6, report_every=2, batch_size=4, preset=("preset=smoke",))}
WORLD = ("world.train_clips=16", "world.val_clips=2", "world.test_clips=1")


@dataclass(frozen=True)
class Run:
    """Milliseconds of an update in every window of a run but the first.

    Attributes:
        steady: Between reports.
        whole: From report to report.
    """

    steady: tuple[float, ...]
    whole: tuple[float, ...]


def make_data(preset: tuple[str, ...], folder: Path) -> None:
    """Shards of rendered clips."""
    given = preset or WORLD
    for verb, words in (
        ("synthesize", [*given, f"out={folder}/raw"]),
        ("shard", [f"raw={folder}/raw", f"out={folder}/shards"]),
    ):
        _call(["-m", f"pipeline.{verb}", *words])


def train(case: Case, folder: Path, name: str, workers: int) -> Run:
    """One run of flows/train.py; its pace is read from its journal."""
    words = [
        *case.preset,
        *("train.slow.updates=0", "train.fast.updates=0", f"train.joint.updates={case.updates}"),
        f"train.joint.batch_size={case.batch_size}",
        f"train.report_every={case.report_every}",
        *(f"cluster.num_workers={workers}", f"cluster.cpus_per_worker={case.threads}"),
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
    """Run Python on this machine alone; what workers of Ray find in their environment, all find."""
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | ENVIRONMENT
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


def lines_of(name: str, case: Case, runs: dict[str, list[Run]]) -> list[dict[str, object]]:
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
                    **{**measuring.circumstances(case.threads), "clock": "wall"},
                }
            )
    return lines


def _folder(temporary: str, preset: tuple[str, ...]) -> Path:
    return Path(temporary) / "-".join(["data", *preset])


def main(argv: Sequence[str]) -> int:
    """Run the case that the words name."""
    if list(argv) in (["help"], ["--help"], ["-h"]):
        measuring.say(__doc__ or "")
        return 0
    values = measuring.words(DEFAULTS, argv)
    cases = measuring.chosen(values["cases"], CASES, TINY)
    runs = {name: {design: list[Run]() for design in WORKERS} for name in cases}
    with tempfile.TemporaryDirectory() as temporary:
        for preset in {case.preset for case in cases.values()}:
            make_data(preset, _folder(temporary, preset))
        for index in range(int(values["rounds"])):
            for name, case in cases.items():
                for design, workers in WORKERS.items():
                    folder = _folder(temporary, case.preset)
                    done = train(case, folder, f"{name}-{design}-{index}", workers)
                    runs[name][design].append(done)
                    pace = statistics.median(done.steady)
                    measuring.say(f"{name} {design} {index + 1}: {pace:.1f} ms an update")
    lines = [line for name, case in cases.items() for line in lines_of(name, case, runs[name])]
    for line in lines:
        measuring.emit(line)
    return measuring.finish("overhead", lines, COLUMNS, values)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
