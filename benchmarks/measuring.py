"""What the benchmarks share: machine rates, interleaved timing, peak memory, lines and tables.

Every benchmark prints one JSON line per case on standard output and nothing else there; progress
goes to standard error. Ratios are taken within one run only.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar

import torch

ROOT = Path(__file__).resolve().parents[1]
Call = Callable[[], object]
T = TypeVar("T")


@dataclass(frozen=True)
class Rates:
    """What the machine reaches in this run, same threads and dtype as what is timed."""

    gemm_gflops: float
    copy_gbs: float

    def floor_ms(self, *, flop: float, moved_bytes: float) -> tuple[float, str]:
        """Least time for an amount of arithmetic and of memory traffic, and which one binds."""
        by_flop, by_bytes = flop / self.gemm_gflops / 1e6, moved_bytes / self.copy_gbs / 1e6
        return max(by_flop, by_bytes), "flop" if by_flop >= by_bytes else "bytes"


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one design over the rounds."""

    rounds: tuple[float, ...]
    first: float

    def line(self) -> dict[str, float]:
        """The fields of a result line."""
        ordered = sorted(self.rounds)
        return {
            "median_ms": round(statistics.median(ordered), 3),
            "min_ms": round(ordered[0], 3),
            "p95_ms": round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 3),
            "rounds": len(ordered),
            "first_call_ms": round(self.first, 1),
        }


def clock_name(threads: int) -> str:
    """Process CPU time leaves out what neighbours take; it is fair for one thread only."""
    if torch.cuda.is_available():
        return "wall_synchronised"
    return "process_cpu" if threads == 1 else "wall"


def milliseconds(call: Call, threads: int) -> float:
    """Time one call."""
    clock = time.process_time if clock_name(threads) == "process_cpu" else time.perf_counter
    _synchronise()
    start = clock()
    call()
    _synchronise()
    return 1e3 * (clock() - start)


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measure_rates(dtype: torch.dtype, device: str, threads: int) -> Rates:
    """Rates of a matrix product and of a copy (read and write)."""
    size, count = (1024, 2**26) if device == "cpu" else (8192, 2**29)
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    source = torch.ones(count // 4, device=device)
    target = torch.empty_like(source)
    gemm = _best(lambda: a @ b, threads)
    copy = _best(lambda: target.copy_(source), threads)
    return Rates(2 * size**3 / gemm / 1e6, 2 * count / copy / 1e6)


def _best(call: Call, threads: int) -> float:
    call()
    return statistics.median(milliseconds(call, threads) for _ in range(5))


def interleave(
    designs: dict[str, Callable[[int], Call]], *, rounds: int, slow_rounds: int, threads: int
) -> dict[str, Timing]:
    """Time every design once per round, so that a ratio compares runs made next to each other.

    Args:
        designs: Name -> what makes the call of a round, given its number: fresh inputs each time.
        rounds: Rounds, after a first call that is reported apart.
        slow_rounds: Rounds of designs whose first call took more than a second.
        threads: Threads of torch, for the choice of the clock.
    """
    first = {name: milliseconds(make(-1), threads) for name, make in designs.items()}
    times: dict[str, list[float]] = {name: [] for name in designs}
    for index in range(rounds):
        for name, make in designs.items():
            if first[name] > 1000 and index >= slow_rounds:
                continue
            call = make(index)
            gc.collect()
            times[name].append(milliseconds(call, threads))
    return {name: Timing(tuple(times[name]), first[name]) for name in designs}


def extra_peak_mib(call: Call) -> float:
    """Resident memory a call needs at most, above what is resident before it; Linux and CUDA."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    Path("/proc/self/clear_refs").write_text("5")
    resident = _status("VmRSS")
    call()
    return max(0, _status("VmHWM") - resident) / 2**10


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


def circumstances(threads: int) -> dict[str, object]:
    """Fields that every line carries."""
    return {
        "clock": clock_name(threads),
        "threads": threads,
        "load1": round(os.getloadavg()[0], 2),
        "commit": _git("rev-parse", "--short=12", "HEAD") or "unknown",
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def emit(line: dict[str, object]) -> None:
    """Print one result."""
    print(json.dumps(line), flush=True)


def say(text: str) -> None:
    """Report progress."""
    print(text, file=sys.stderr, flush=True)


def write_table(
    folder: Path, bench: str, lines: Sequence[dict[str, object]], columns: Sequence[str]
) -> Path:
    """Write the dated table of a benchmark; aims that were missed get a sentence each."""
    processor = "unknown processor"
    if Path("/proc/cpuinfo").exists():
        models = [x for x in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in x]
        processor = models[0].split(":")[1].strip() if models else processor
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    first = lines[0] if lines else {}
    text = [
        f"# {bench}, {date.today().isoformat()}",
        "",
        f"{processor}, {os.cpu_count()} cores, {device}; torch {torch.__version__}, Python "
        f"{platform.python_version()}; commit {first.get('commit')}"
        f"{' with changes' if first.get('dirty') else ''}; {first.get('threads')} thread(s), clock "
        f"{first.get('clock')}; `{' '.join(['python', f'benchmarks/{bench}.py', *sys.argv[1:]])}`",
        "",
        "| " + " | ".join(columns) + " |",
        "|" + "---|" * len(columns),
        *("| " + " | ".join(_cell(line.get(c)) for c in columns) + " |" for line in lines),
    ]
    missed = [line for line in lines if line.get("ok") is False]
    text += ["", *(f"Missed: {m['case']}, {m['design']}: {m['aim']}." for m in missed)]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{date.today().isoformat()}-{bench}.md"
    path.write_text("\n".join(text).rstrip() + "\n")
    return path


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "pass" if value else "fail"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def finish(
    bench: str,
    lines: Sequence[dict[str, object]],
    columns: Sequence[str],
    values: Mapping[str, str],
) -> int:
    """Write the table where `table=true`; the exit code, 1 for a missed aim where `strict=true`."""
    if values["table"] == "true":
        write_table(ROOT / "benchmarks/results", bench, lines, columns)
    return int(values["strict"] == "true" and not all(line["ok"] for line in lines))


def chosen(cases: str, usual: Mapping[str, T], others: Mapping[str, T]) -> dict[str, T]:
    """The cases that a word names, `all` = the usual ones; an unknown one ends the program."""
    known = {**usual, **others}
    names = list(usual) if cases == "all" else cases.split(",")
    for name in names:
        if name not in known:
            say(f"unknown cases={name}; known: all {' '.join(known)}")
            raise SystemExit(2)
    return {name: known[name] for name in names}


def words(allowed: dict[str, str], given: Sequence[str]) -> dict[str, str]:
    """Read `key=value` words over their defaults; an unknown one ends the program."""
    values = dict(allowed)
    for word in given:
        key, equals, value = word.partition("=")
        if not equals or key not in allowed:
            say(f"unknown word {word}; known: " + " ".join(f"{k}={v}" for k, v in allowed.items()))
            raise SystemExit(2)
        values[key] = value
    return values
