"""The share of waiting is that of the journal, over all reports of a stage."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "benchmarks/waiting.py", "table=false", *words],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Two reports of one stage, 100 updates at 50 clips/s and 50 at 100; one of another.

    Batches of 8 and 4 clips: 16 s, 4 s and 8 s.
    """
    (tmp_path / "train-a/journal").mkdir(parents=True)
    rows = [("slow", 100, 50.0, 0.02), ("slow", 150, 100.0, 0.12)]
    rows.append(("fast_alone", 20, 10.0, 0.06))
    for number, (stage, update, pace, share) in enumerate(rows, start=1):
        report = {"stage": stage, "update": update, "clips_per_second": pace, "wait_share": share}
        path = tmp_path / f"train-a/journal/{number:08d}.json"
        path.write_text(json.dumps({"number": number, "report": report}))
    settings = {"train.slow.batch_size": 8, "train.fast.batch_size": 4}
    (tmp_path / "train-a/identity.json").write_text(json.dumps({"settings": settings}))
    (tmp_path / "train-a/outcome.json").write_text(json.dumps({"commit": "0123456789abcdef"}))
    return tmp_path / "train-a"


def test_shares_are_weighted_by_time(journal: Path) -> None:
    done = run(f"run={journal}")

    assert done.returncode == 0, done.stderr
    slow, fast, whole = (json.loads(text) for text in done.stdout.splitlines())
    assert slow["wait_share"] == pytest.approx((16 * 0.02 + 4 * 0.12) / 20)
    assert slow["largest"] == 0.12
    assert (slow["updates"], slow["seconds"], slow["clips_per_s"]) == (150, 20, 60.0)
    assert (fast["case"], fast["wait_share"]) == ("fast_alone", 0.06)
    assert whole["wait_share"] == pytest.approx((16 * 0.02 + 4 * 0.12 + 8 * 0.06) / 28, abs=1e-4)
    assert (whole["case"], whole["ok"], whole["aim"]) == ("all stages", True, "wait_share<=0.05")
    assert whole["design"] == "run train-a"
    assert whole["trained_at"] == "0123456789ab"


def test_a_missed_aim_fails_where_asked(journal: Path) -> None:
    path = journal / "journal/00000001.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "report": {**record["report"], "wait_share": 0.2}}))

    assert run(f"run={journal}", "strict=true").returncode == 1


@pytest.mark.parametrize("words, message", [([], "run=... is required"), (["runs=x"], "unknown")])
def test_bad_words_end_with_2(words: list[str], message: str) -> None:
    done = run(*words)

    assert done.returncode == 2
    assert message in done.stderr


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    done = run(f"run={tmp_path}")

    assert done.returncode != 0
    assert "no committed report there" in done.stderr
