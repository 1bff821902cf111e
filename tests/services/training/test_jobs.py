"""A sweep and an evaluation as jobs of the two-host cluster, submitted from outside."""

import json
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[3]


def submit(*words: str) -> subprocess.CompletedProcess[str]:
    """`infra/ray/submit.sh python ...` to its end."""
    command = ["bash", "infra/ray/submit.sh", "python", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250)


def test_sweep_runs_as_a_job(services, street, undisturbed, tmp_path, note):
    from mlflow import MlflowClient

    out = tmp_path / "sweep.json"
    done = submit(
        *("flows/tune.py", "preset=smoke", f"data.root={street}", f"model={undisturbed.out}"),
        *(f"cluster.storage={undisturbed.run.url}-sweep", f"out={out}"),
        *("sweep.keyframe_intervals=[2,4]", "sweep.radii=[1]", "sweep.updates=4"),
        "sweep.concurrent=2",
    )

    assert done.returncode == 0, done.stdout + done.stderr
    page = json.loads(out.read_text())
    assert [row["keyframe_interval"] for row in page["trials"]] == [2, 4]
    assert {row["status"] for row in page["trials"]} <= {"finished", "stopped early"}
    assert page["commit"].rstrip("+") == _head()
    client = MlflowClient()
    experiment = client.get_experiment_by_name("mila").experiment_id
    (parent,) = client.search_runs([experiment], f"tags.`run.name` = '{page['run']}'")
    below = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    children = client.search_runs([experiment], below)
    assert {run.info.status for run in [parent, *children]} == {"FINISHED"}
    assert len(children) == 2
    note(
        "nothing, a sweep as a job",
        killed="nothing",
        found="exit 0, two trials, in MLflow a run with two below it",
        seconds={},
    )


def test_evaluation_runs_as_a_job(services, street, undisturbed, tmp_path, note):
    out = tmp_path / "metrics.json"
    words = ("preset=smoke", f"data.root={street}", f"model={undisturbed.out}", f"out={out}")
    done = submit("flows/evaluate.py", *words)

    assert done.returncode == 0, done.stdout + done.stderr
    page = json.loads(out.read_text())
    assert page["gmac_saved"] > 0
    assert page["commit"].rstrip("+") == _head()
    note(
        "nothing, an evaluation as a job",
        killed="nothing",
        found="exit 0, its table is written",
        seconds={},
    )


def test_too_large_a_folder_is_refused_before_it_travels(services, tmp_path):
    """A folder at the top that no ignore file names, two bytes above what Ray takes."""
    copy = tmp_path / "project"
    (copy / "infra/ray").mkdir(parents=True)
    for name in ("infra/ray/submit.sh", "flows/__init__.py", "flows/working_dir.py"):
        (copy / name).parent.mkdir(exist_ok=True, parents=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    (copy / "films").mkdir()
    with (copy / "films/large.mp4").open("wb") as film:
        film.truncate(100 * 1024**2 + 2)

    command = ["bash", "infra/ray/submit.sh", "true"]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=60)

    assert done.returncode == 2
    assert "would travel to the cluster" in done.stderr
    assert "largest: films 100 MiB" in done.stderr


def _head() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()
