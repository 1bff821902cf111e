"""flows/grid.py at toy size: pages, shared networks, repetition, and a kill in the middle."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.grid import main
from mila.identity import ROOT

GRID = """
settings:
  train: {report_every: 1, slow: {updates: 2}, fast: {updates: 2}, joint: {updates: 3}}
  evaluation: {keyframe_interval: 2, intervals: [1, 2, 3], latency_frames: 5}
rows:
  ila: {group: propagation, title: ILA, adaptive: [0.5]}
  warp: {group: propagation, title: warp, settings: {model: {propagation: {kind: flow_warp}}}}
  fast:
    group: bounds
    title: fast alone
    method: fast
    settings: {train: {fast: {updates: 3}, joint: {updates: 0}}}
  exact:
    group: bounds
    title: exact motion
    settings: {model: {propagation: {kind: exact_flow}}, train: {joint: {updates: 0}}}
  single:
    group: single
    title: one task
    method: slow
    alone: true
    settings: {model: {tasks: [depth]}, train: {fast: {updates: 0}, joint: {updates: 0}}}
"""


@pytest.fixture
def words(tmp_path: Path, make_clip: Callable, make_shards: Callable) -> list[str]:
    sizes = {"frames": 5, "height": 32, "width": 48}
    names = ["test-00", "test-01", *(f"train-{i:02d}" for i in range(4)), "val-00"]
    make_shards(tmp_path / "data", [make_clip(name, **sizes) for name in names])
    (tmp_path / "tiny.yaml").write_text(GRID)
    return [
        "preset=smoke",
        f"grid={tmp_path / 'tiny.yaml'}",
        f"data.root={tmp_path / 'data'}",
        "data.loader_workers=0",
        "train.precision=float32",
        "seeds=3",
    ]


def placed(words: list[str], folder: Path) -> list[str]:
    places = [f"out={folder / 'out'}", f"work={folder / 'work'}"]
    return [*words, *places, f"cluster.storage={folder / 'runs'}"]


def pages(folder: Path) -> dict[str, dict]:
    return {path.stem: json.loads(path.read_text()) for path in (folder / "out").iterdir()}


def test_every_row_leaves_a_page(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(placed(words, tmp_path)) == 0

    found = pages(tmp_path)
    assert sorted(found) == ["exact-s3", "fast-s3", "ila-s3", "single-s3", "warp-s3"]
    page = found["ila-s3"]
    settings = "preset=smoke data.root=data data.loader_workers=0 train.precision=float32"
    assert page["command"] == f"python flows/grid.py {settings} grid=tiny.yaml rows=ila seeds=3"
    assert {"commit", "date", "hardware", "fingerprint", "data", "cost"} <= page.keys()
    assert page["updates_and_batch"]["joint"] == [3, 4]
    assert str(tmp_path) not in json.dumps(found)
    assert len(page["offsets"]["mila"]) == 3
    assert [row["schedule"] for row in page["schedules"]] == ["fixed", "fixed", "adaptive"]
    # One slow network for all rows of the seed; single tasks have their own.
    slow = {
        name: page["by_interval"]["2"]["methods"]["slow"]["depth/abs_rel"]
        for name, page in found.items()
    }
    assert slow["ila-s3"] == slow["warp-s3"] == slow["fast-s3"] == slow["exact-s3"]
    assert slow["single-s3"] != slow["ila-s3"]
    runs = [path.name for path in (tmp_path / "runs").iterdir()]
    assert sum(name.startswith("grid-start-s3") for name in runs) == 1
    assert not any(name.startswith("grid-exact") for name in runs)
    assert "5 of 5 items done" in capsys.readouterr().out


def test_what_is_done_is_not_done_again(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = placed([*words, "rows=ila"], tmp_path)
    assert main(words) == 0
    written = (tmp_path / "out" / "ila-s3.json").stat().st_mtime_ns
    assert main(words) == 0
    assert (tmp_path / "out" / "ila-s3.json").stat().st_mtime_ns == written

    grid = tmp_path / "tiny.yaml"
    grid.write_text(GRID.replace("joint: {updates: 3}}", "joint: {updates: 4}}"))
    assert main(words) == 2
    assert "made with other settings or data" in capsys.readouterr().err


def test_a_given_start_serves_all_seeds(
    words: list[str], tmp_path: Path, exported_start: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILA_HOME", str(tmp_path))
    words = placed(words[:-1], tmp_path)
    assert main([*words, "seeds=3,4", "rows=ila", f"start={exported_start.name}"]) == 0

    found = pages(tmp_path)
    figures = [p["by_interval"]["2"]["methods"] for p in found.values()]
    assert figures[0]["slow"] == figures[1]["slow"]
    assert figures[0]["mila"] != figures[1]["mila"]
    assert found["ila-s4"]["start"]["run"] == "made here"
    assert found["ila-s4"]["command"].endswith("seeds=4 start=given")
    assert not any("start" in path.name for path in (tmp_path / "runs").iterdir())


@pytest.fixture
def exported_start(tmp_path: Path) -> Path:
    import torch

    from mila.export import export_model
    from mila.model import build_model
    from mila.overrides import load_params

    torch.manual_seed(0)
    model = build_model(load_params(["preset=smoke"]).model)
    export_model(model, tmp_path / "given", origin={"run": "made here"})
    return tmp_path / "given"


def test_a_killed_row_ends_like_a_whole_one(words: list[str], tmp_path: Path) -> None:
    words = [*words, "rows=ila"]
    assert main(placed(words, tmp_path / "whole")) == 0

    command = [sys.executable, ROOT / "flows" / "grid.py", *placed(words, tmp_path / "parts")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    for line in process.stdout:
        if "joint 1/3" in line:
            os.kill(process.pid, signal.SIGKILL)
            break
    assert process.wait(timeout=60) == -signal.SIGKILL
    assert not (tmp_path / "parts" / "out").exists()
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=100, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "slow" not in done.stdout.replace("slow network", "")
    whole, parts = (pages(tmp_path / name)["ila-s3"] for name in ("whole", "parts"))
    for key in ("offsets", "cost", "fingerprint", "consistency"):
        assert parts[key] == whole[key]


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("rows=illa", "no such row; there are ila"),
        ("seeds=one", "seeds=one: expected whole numbers"),
        ("grid=/nowhere.yaml", "/nowhere.yaml: no grid file there"),
        ("accept=all", "expected accept=sources"),
    ],
)
def test_bad_words_end_with_2(
    words: list[str], tmp_path: Path, word: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*placed(words, tmp_path), word]) == 2
    assert sentence in capsys.readouterr().err


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "python flows/grid.py rows=ila,flow_warp seeds=0,1,2" in capsys.readouterr().out
