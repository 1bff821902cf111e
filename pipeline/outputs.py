"""Outputs that appear whole or not at all: written beside their place, then moved there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` to write to; it takes the place of `out` when the block ends well.

    If the block fails, it is removed and `out` stays as it was.
    """
    partial = beside(out, "partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    put_in_place(partial, out)


def refuse_other(out: Path, marker: str) -> None:
    """Refuse to replace what is no earlier result: `out` becomes the new one, its files go.

    Args:
        out: The output.
        marker: A file that every result has.

    Raises:
        ValueError: If `out` is a file, or a folder with other things in it.
    """
    if out.is_dir() and ((out / marker).is_file() or not any(out.iterdir())):
        return
    if out.exists():
        raise ValueError(f"out={out}: not empty and not an earlier result; name another folder")


def put_in_place(made: Path, out: Path) -> None:
    """Move a finished folder to `out`, in place of what was there."""
    old = beside(out, "old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    made.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file at once; its folder is made if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = beside(path, "partial")
    partial.write_text(text)
    partial.replace(path)


def beside(path: Path, what: str) -> Path:
    """A hidden name in the same folder."""
    path = path.absolute()
    return path.with_name(f".{path.name}.{what}")
