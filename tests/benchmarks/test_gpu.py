"""The GPU benchmark's CPU dry run: every part once, at toy size, in under a minute."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ABSENT = ("ray", "mlflow", "dvc", "webdataset", "simplejpeg", "boto3", "tqdm", "matplotlib", "rich")
"""Packages that the machine with the GPU need not have."""


def run(*words: str, blocked: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    if blocked is not None:
        for name in ABSENT:
            (blocked / f"{name}.py").write_text(
                "raise ModuleNotFoundError('not on this machine')\n"
            )
        environment["PYTHONPATH"] = str(blocked)
    return subprocess.run(
        ["bash", ROOT / "benchmarks" / "gpu.sh", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_the_dry_run_fills_every_part(tmp_path: Path) -> None:
    blocked = tmp_path / "absent"
    blocked.mkdir()

    done = run("dry", f"out={tmp_path}", "kinds=ila,flow_warp", blocked=blocked)

    assert done.returncode == 0, done.stderr
    page = json.loads((tmp_path / "gpu.json").read_text())
    assert page["clips"] == {"train": 4, "val": 1, "test": 1}
    assert page["updates"] == {"slow": 2, "fast": 2, "joint": 2}
    assert page["seconds"] > 0
    assert set(page["pages"]) == {"ila", "flow_warp"}
    slow = [p["methods"]["slow"]["depth/abs_rel"] for p in page["pages"].values()]
    assert slow[0] == slow[1]
    assert [row["preset"] for row in page["timings"]] == [
        *("paper", "paper-s8", "paper-half", "paper-r50")
    ]
    for row in page["timings"]:
        assert 0 < row["attention_ms"]
        assert row["non_keyframe_ms"] < row["slow_ms"]
        assert row["saved_k10"] > row["saved_k5"] > 0.5
    assert "| ila |" in done.stdout
    assert "| paper-s8 |" in done.stdout


@pytest.mark.parametrize(
    ("word", "sentence"), [("size=huge", "known: full dry"), ("siz=dry", "unknown word siz=dry")]
)
def test_bad_words_end_with_2(word: str, sentence: str) -> None:
    done = run(word)

    assert done.returncode == 2
    assert sentence in done.stderr
