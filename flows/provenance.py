"""Where a run comes from: commit, state of the data's lock file, DVC stage, machine."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
from pathlib import Path

from mila.identity import ROOT, Identity

COMMIT_VARIABLE = "MILA_COMMIT"
"""Carries the commit to where `.git` does not travel; flows/submit.py sets it."""


def commit_of(root: Path = ROOT) -> str:
    """The commit of the sources, with `+` if files differ from it; "unknown" if nothing tells."""
    if given := os.environ.get(COMMIT_VARIABLE):
        return given
    head = _git(root, "rev-parse", "HEAD")
    if not head:
        return "unknown"
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    return f"{head}+" if changed else head


def provenance(identity: Identity, root: Path = ROOT) -> dict[str, str]:
    """Tags that tie a run to sources, data and the stage that started it."""
    lock = root / "dvc.lock"
    tags = {
        "git.commit": commit_of(root),
        "run.identity": identity.fingerprint,
        "run.sources": identity.sources_fingerprint,
        "host": socket.gethostname(),
        "dvc.stage": os.environ.get("DVC_STAGE", ""),
        "dvc.lock": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else "",
    }
    tags |= {f"content.{setting}": digest for setting, digest in identity.inputs.items()}
    return {name: value for name, value in tags.items() if value}


def _git(root: Path, *words: str) -> str:
    """What git says; empty without git, without a repository, or if it takes too long."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()
