"""The whole chain by `dvc repro`, tiny: killed while it trains, repeated, then nothing to do."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from mila.overrides import ROOT, merge

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]

REPRO = [sys.executable, "-m", "dvc", "repro"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of this project under git, with settings that take seconds."""
    folder = tmp_path_factory.mktemp("chain") / "mila"
    listed = _git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / "dvc.lock").unlink(missing_ok=True)
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    merge(settings, yaml.safe_load((ROOT / "params" / "smoke.yaml").read_text()))
    merge(settings, {"train": {"slow": {"updates": 80}, "report_every": 4}})
    (folder / "params.yaml").write_text(yaml.safe_dump(settings))
    _git(folder, "init", "-q")
    _git(folder, "add", "-A")
    _git(folder, "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-q", "-m", "copy")
    return folder


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def _environment() -> dict[str, str]:
    gone = ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "MILA_HOME")
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {k: v for k, v in os.environ.items() if k not in gone} | {"PATH": here}


def _repro(project: Path) -> str:
    done = subprocess.run(
        REPRO, cwd=project, env=_environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def _reports(project: Path) -> int:
    return len(list(project.glob("runs/train-*/journal/*")))


def test_killed_while_training_it_goes_on_and_then_has_nothing_to_do(project: Path) -> None:
    victim = subprocess.Popen(
        REPRO, cwd=project, env=_environment(), stdout=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 200
    while _reports(project) < 3:
        assert victim.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline, "no training was seen"
        time.sleep(0.1)
    os.killpg(victim.pid, signal.SIGKILL)
    victim.wait(10)
    assert not (project / "reports" / "train.json").exists()
    before = _reports(project)

    told = _repro(project)

    assert "Stage 'synthesize' didn't change" in told
    shown = [line for line in told.splitlines() if "] slow " in line]
    # A worker may live and commit for a moment after its driver was killed.
    assert 0 < len(shown) <= 20 - before, "it began anew"
    page = json.loads((project / "reports" / "metrics.json").read_text())
    assert set(page["methods"]) == {"slow", "fast", "copy", "mila"}
    assert len(page["methods"]["mila"]["by_offset"]) == page["keyframe_interval"]
    assert "<svg" in (project / "reports" / "index.html").read_text()
    assert json.loads((project / "reports" / "sweep.json").read_text())["trials"]

    left = {path: path.stat().st_mtime_ns for path in project.glob("reports/*")}
    assert "Data and pipelines are up to date" in _repro(project)
    assert {path: path.stat().st_mtime_ns for path in project.glob("reports/*")} == left
