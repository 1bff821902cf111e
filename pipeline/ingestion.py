"""Ingesting a data set: every recording becomes a clip, all clips become shards.

Clips are made in a folder beside the output, each complete or not there. A repeated call keeps
those that are there as long as files and settings are the same, and makes the rest.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

from mila.data.manifest import CLIPS_NAME
from mila.data.sample import encode_clip
from mila.data.shards import write_clip_tar
from pipeline.assembly import RawClip, assemble
from pipeline.datasets.recording import Recording
from pipeline.datasets.table import DATA_SETS
from pipeline.making import Size, make_clip
from pipeline.outputs import beside, new_folder, refuse_other, write_text
from pipeline.parallel import over_all_cores

_IDENTITY_NAME = "ingest.json"
_FORMAT = 2
"""Raised when the same files and settings give other clips than before."""


@dataclass(frozen=True)
class Request:
    """What to ingest."""

    dataset: str
    root: Path
    out: Path
    size: Size | None
    shard_bytes: int
    words: Mapping[str, str] = field(default_factory=dict)
    """The data set's own settings."""


def ingest(request: Request, *, workers: int = 0) -> bool:
    """Make the shards of a data set.

    Args:
        request: What to ingest.
        workers: Processes; 0 = one per core.

    Returns:
        Whether anything had to be made; False if `out` was made from the same files before.

    Raises:
        ValueError: If the data set is unknown, its tree is another one or a file cannot be used;
            `out` stays as it was.
    """
    _check(request)
    identity = _identity(request)
    if _held_identity(request.out) == identity:
        return False
    recordings = DATA_SETS[request.dataset].find(request.root, request.words)
    if not recordings:
        raise ValueError(f"{request.root}: no clip can be made of what is there")
    recordings.sort(key=lambda recording: recording.key)
    _refuse_double_keys(recordings)
    folder = _folder_of_clips(request.out, identity)
    make = partial(_make_unless_there, folder, request.size)
    paths = list(over_all_cores(make, recordings, workers=workers, what="clip"))
    with new_folder(request.out) as made:
        clips = [RawClip(path) for path in paths]
        assemble(made, clips, shard_bytes=request.shard_bytes, workers=workers)
        write_text(made / _IDENTITY_NAME, identity)
    shutil.rmtree(folder, ignore_errors=True)
    return True


def parse_size(text: str | None) -> Size | None:
    """Rows and columns from `256x512`.

    Raises:
        ValueError: If it reads otherwise.
    """
    if text is None:
        return None
    rows, _, columns = text.partition("x")
    if not (rows.isdigit() and columns.isdigit() and int(rows) and int(columns)):
        raise ValueError(f"size={text}: expected rows x columns such as 256x512")
    return int(rows), int(columns)


def _check(request: Request) -> None:
    if request.dataset not in DATA_SETS:
        raise ValueError(f"dataset={request.dataset}: expected one of {', '.join(DATA_SETS)}")
    if not request.root.is_dir():
        raise ValueError(f"root={request.root}: no such folder")
    root, out = request.root.resolve(), request.out.resolve()
    if out.is_relative_to(root) or root.is_relative_to(out):
        raise ValueError(f"out={request.out}: must lie apart from root={request.root}")
    refuse_other(request.out, CLIPS_NAME)
    known = DATA_SETS[request.dataset].words
    for word in request.words:
        if word not in known:
            raise ValueError(f"{word} has no effect on dataset={request.dataset}")


def _identity(request: Request) -> str:
    """Settings and a digest over names, sizes and times of all files, as JSON."""
    digest = hashlib.sha256()
    for path in sorted(request.root.rglob("*")):
        if path.is_file():
            status = path.stat()
            name = path.relative_to(request.root).as_posix()
            digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    tree = {
        "format": _FORMAT,
        "dataset": request.dataset,
        "words": dict(request.words),
        "size": request.size,
        "shard_bytes": request.shard_bytes,
        "files": digest.hexdigest(),
    }
    return json.dumps(tree, sort_keys=True, indent=1) + "\n"


def _held_identity(folder: Path) -> str | None:
    path = folder / _IDENTITY_NAME
    return path.read_text() if path.is_file() else None


def _folder_of_clips(out: Path, identity: str) -> Path:
    """The folder of clips beside the output; what is there from other files or settings goes."""
    folder = beside(out, "clips")
    if _held_identity(folder) != identity:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_text(folder / _IDENTITY_NAME, identity)
    return folder


def _make_unless_there(folder: Path, size: Size | None, recording: Recording) -> Path:
    path = folder / f"{recording.key}.tar"
    if not path.is_file():
        clip = make_clip(recording, size)
        write_clip_tar(path, clip.key, encode_clip(clip))
    return path


def _refuse_double_keys(recordings: Sequence[Recording]) -> None:
    for before, after in pairwise(recordings):
        if before.key == after.key:
            raise ValueError(f"videos {before.video} and {after.video} give one key, {after.key}")
