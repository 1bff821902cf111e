"""The attention benchmark runs at a tiny size and says what it must; times are its own affair."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEYS = {
    *("bench", "case", "design", "x_floor", "x_baseline", "baseline", "aim", "ok", "median_ms"),
    *("min_ms", "p95_ms", "rounds", "clock", "threads", "cache", "floor_ms", "floor_kind"),
    *("gemm_gflops", "copy_gbs", "extra_mib", "x_io", "error_fwd", "error_grad"),
    *("first_call_ms", "load1", "commit", "dirty"),
}


def run(*words: str) -> list[dict[str, float]]:
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks/attention.py", "table=false", *words],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_lines_hold_every_key() -> None:
    lines = run("cases=tiny", "rounds=2")

    assert [line["design"] for line in lines] == ["tiled", "unfold"]
    assert all(set(line) == KEYS for line in lines)
    assert all(0 < line["error_grad"] < 2e-6 for line in lines)


def test_unknown_words_end_with_2() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks/attention.py", "case=tiny"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert "unknown word case=tiny" in done.stderr


@pytest.mark.slow
def test_time_and_memory_are_a_twentieth_of_unfold() -> None:
    tiled, unfold = run("cases=window", "rounds=3")

    assert tiled["median_ms"] <= unfold["median_ms"] / 20
    assert tiled["extra_mib"] <= unfold["extra_mib"] / 20
