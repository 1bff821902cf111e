"""The overhead benchmark runs at a tiny size and says what it must; times are its own affair."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEYS = {
    *("bench", "case", "design", "median_ms", "ratio", "aim", "ok", "min_ms", "p95_ms", "windows"),
    *("runs", "clock", "threads", "load1", "commit", "dirty"),
}


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "benchmarks/overhead.py", "table=false", *words],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_lines_hold_every_key() -> None:
    done = run("cases=tiny", "rounds=1")

    assert done.returncode == 0, done.stderr
    lines = [json.loads(text) for text in done.stdout.splitlines()]
    assert [line["design"] for line in lines] == ["plain", "ray", "plain", "ray"]
    for line, reference in zip(lines, [lines[0], lines[0], lines[2], lines[2]], strict=True):
        assert set(line) == KEYS
        assert line["windows"] == 2, "the first of three warms up"
        assert line["ratio"] == pytest.approx(line["median_ms"] / reference["median_ms"], rel=0.01)
    assert [line["aim"] for line in lines] == [None, "ratio<=1.05", None, None]


@pytest.mark.parametrize("word", ["round=1", "cases=huge"])
def test_unknown_words_end_with_2(word: str) -> None:
    done = run(word)

    assert done.returncode == 2
    assert word.split("=")[0] in done.stderr
