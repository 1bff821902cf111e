"""Provenance: commit, lock file and stage become tags; what is missing is left out."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from flows.provenance import commit_of, provenance
from mila.identity import Identity

IDENTITY = Identity({"train.seed": 0}, {"data.root": "d" * 64}, {"mila/a.py": "1"})


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", folder, *who, *words], capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MILA_COMMIT", raising=False)
    git(tmp_path, "init")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "first", "--no-verify")
    return tmp_path


def test_the_commit_says_whether_files_differ_from_it(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    assert commit_of(repository) == head

    (repository / "a").write_text("2")
    assert commit_of(repository) == f"{head}+"


def test_where_git_does_not_travel_the_commit_comes_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MILA_COMMIT", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit_of(tmp_path) == "unknown"
    monkeypatch.setenv("MILA_COMMIT", "abc")
    assert commit_of(tmp_path) == "abc"


def test_tags_name_data_lock_and_stage(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / "dvc.lock").write_text("schema: '2.0'\n")
    monkeypatch.setenv("DVC_STAGE", "train")

    tags = provenance(IDENTITY, repository)

    assert tags["dvc.stage"] == "train"
    assert tags["dvc.lock"] == hashlib.sha256(b"schema: '2.0'\n").hexdigest()
    assert tags["content.data.root"] == "d" * 64
    assert tags["run.identity"] == IDENTITY.fingerprint
    monkeypatch.delenv("DVC_STAGE")
    (repository / "dvc.lock").unlink()
    assert not {"dvc.stage", "dvc.lock"} & set(provenance(IDENTITY, repository))
