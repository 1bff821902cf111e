"""DVC with a real S3 service as its remote: push, pull, and a clean clone that runs nothing."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import yaml

from mila.overrides import merge

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.s3, pytest.mark.timeout(900)]


class Project:
    """A clone of this project and what is run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        binaries = str(Path(sys.executable).parent)
        local = {"PATH": f"{binaries}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
        # Runs are tracked in the clone, by a Ray of its own: this is about DVC and S3.
        gone = (
            *("MLFLOW_TRACKING_URI", "MLFLOW_S3_ENDPOINT_URL", "RAY_ADDRESS"),
            *("RAY_API_SERVER_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"),
        )
        self.environment = {k: v for k, v in os.environ.items() if k not in gone} | local

    def run(self, *command: str, seconds: float = 60) -> str:
        """What a command prints; it has to end well."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def dvc(self, *words: str, seconds: float = 120) -> str:
        return self.run(sys.executable, "-m", "dvc", *words, seconds=seconds)

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        name = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        self.run("git", *name, "commit", "-q", "-m", message)

    def outputs(self) -> dict[str, str]:
        """SHA-256 of every file below data/, models/ and reports/."""
        folders = [self.folder / part for part in ("data", "models", "reports")]
        paths = [p for folder in folders for p in folder.rglob("*") if p.is_file()]
        return {
            path.relative_to(self.folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in paths
        }


_REMOTE = """['remote "ceph"']
    url = s3://dvc/{name}
    endpointurl = {endpoint}
"""
"""What `dvc remote add -d` and `dvc remote modify ... endpointurl` write."""


@pytest.fixture
def project(services, tmp_path) -> Project:
    """The files of this working tree in a git of their own, at smoke size; the remote is Ceph."""
    import boto3

    boto3.client("s3").create_bucket(Bucket="dvc")
    made = Project(tmp_path / "origin")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (made.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, made.folder / name)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    merge(params, yaml.safe_load((ROOT / "params/smoke.yaml").read_text()))
    merge(params, {"cluster": {"num_workers": 0}})
    (made.folder / "params.yaml").write_text(yaml.safe_dump(params))
    config = made.folder / ".dvc/config"
    remote = _REMOTE.format(name=uuid.uuid4().hex, endpoint=os.environ["AWS_ENDPOINT_URL"])
    config.write_text(
        config.read_text().replace("[core]\n", "[core]\n    remote = ceph\n") + remote
    )
    made.run("git", "init", "-q", "-b", "main")
    made.commit("at smoke size")
    return made


def test_a_clean_clone_runs_nothing_again(project, tmp_path, note):
    """push, pull, and `dvc repro --pull` in a clone, against Ceph."""
    began = time.monotonic()
    project.dvc("repro", seconds=600)
    made = time.monotonic()
    project.commit("made")
    project.dvc("push", seconds=120)
    pushed = time.monotonic()
    expected = project.outputs()
    assert "reports/index.html" in expected
    assert any(name.startswith("data/street/shards/") for name in expected)

    clone = Project(tmp_path / "clone")
    project.run("git", "clone", "-q", str(project.folder), str(clone.folder))
    cloned = time.monotonic()
    said = clone.dvc("repro", "--pull", seconds=120)
    repeated = time.monotonic()

    assert "Running stage" not in said, said
    assert clone.outputs() == expected
    assert clone.run("git", "status", "--porcelain") == ""
    puller = Project(tmp_path / "puller")
    project.run("git", "clone", "-q", str(project.folder), str(puller.folder))
    puller.dvc("pull", seconds=120)
    assert puller.outputs() == expected
    note(
        "nothing: dvc push, clean clone, dvc repro --pull on Ceph",
        killed="nothing",
        found=f"no stage ran, {len(expected)} outputs equal by SHA-256; dvc pull gives the same",
        seconds={
            "whole chain": made - began,
            "push": pushed - made,
            "repro --pull in a clone": repeated - cloned,
        },
    )
