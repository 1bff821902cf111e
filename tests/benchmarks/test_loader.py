"""The loader benchmark runs at a tiny size and says what it must; times are its own affair."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEYS = {
    *("bench", "case", "design", "clips_per_s_core", "aim", "ok", "median_ms", "min_ms", "p95_ms"),
    *("rounds", "first_call_ms", "kib_per_clip", "clock", "threads", "load1", "commit", "dirty"),
}


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "benchmarks/loader.py", "table=false", *words],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_lines_hold_every_key() -> None:
    done = run("cases=tiny", "rounds=2")

    assert done.returncode == 0, done.stderr
    lines = [json.loads(text) for text in done.stdout.splitlines()]
    assert [line["design"] for line in lines] == ["read", "decode", "decode, 4:2:0", "batch"]
    for line in lines:
        assert set(line) == KEYS
        assert line["clips_per_s_core"] == pytest.approx(8e3 / line["median_ms"], rel=0.02)


@pytest.mark.parametrize("word", ["case=tiny", "cases=huge"])
def test_unknown_words_end_with_2(word: str) -> None:
    done = run(word)

    assert done.returncode == 2
    assert word.split("=")[0] in done.stderr
