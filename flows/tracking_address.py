"""Where runs are recorded: MLFLOW_TRACKING_URI, or a sqlite file of our own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path


def tracking_uri(folder: Path) -> str:
    """MLFLOW_TRACKING_URI, else `mlflow.db` in a folder."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    return given or f"sqlite:///{folder.resolve() / 'mlflow.db'}"


def artifact_root(uri: str) -> str | None:
    """Where artifacts go: beside a sqlite file; a server knows by itself."""
    place = _sqlite_file(uri)
    return (place.parent / "mlartifacts").as_uri() if place else None


def shown(text: str) -> str:
    """Text without the user and password of any address in it."""
    return re.sub(r"//[^/@\s]*@", "//", text)


@contextlib.contextmanager
def one_at_a_time(uri: str) -> Iterator[None]:
    """Keep two processes from setting up the same sqlite file at once."""
    place = _sqlite_file(uri)
    if place is None:
        yield
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f"{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sqlite_file(uri: str) -> Path | None:
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None
