"""What a run is: its settings, its inputs and the sources, as fingerprints and as words.

Two runs with one identity learn the same. Settings marked `same_result` do not count. A setting
that names a file or a folder counts by what lies there, not by its path. Sources count without
comments, docstrings, blank lines and trailing blanks; any other edit changes them.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import re
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mila.config import Params

ROOT = Path(__file__).resolve().parents[1]
"""Folder that holds the packages."""

TRAINING_SECTIONS = ("data", "model", "loss", "train")
"""Sections of the settings that decide what a training run learns."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHOWN = 12


@dataclass(frozen=True)
class Identity:
    """What decides the result of a run.

    Attributes:
        settings: Path of a setting -> its value, as JSON has it.
        inputs: Path of a setting that names a file or folder -> digest of the content.
        sources: Path of a source file, relative to the project -> digest of its code.
    """

    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    sources: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything, in hexadecimal."""
        return _digest(asdict(self))

    @property
    def sources_fingerprint(self) -> str:
        """SHA-256 over the sources alone, in hexadecimal."""
        return _digest(dict(self.sources))

    def to_json(self) -> str:
        """The identity as text; `from_json` reads it back."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Identity:
        """Read what `to_json` gave."""
        return cls(**json.loads(text))


def identify(
    params: Params,
    inputs: Mapping[str, str],
    *,
    sections: Sequence[str] = TRAINING_SECTIONS,
    root: Path = ROOT,
    packages: Sequence[str] = ("mila", "flows"),
) -> Identity:
    """The identity of a run with these settings.

    Args:
        params: All settings.
        inputs: Path of a setting that names a file or folder -> digest of the content, for instance
            `data.root` -> fingerprint of the manifest. The digest takes the place of the path.
        sections: Sections that count.
        root: Folder that holds the packages.
        packages: Packages whose sources count.
    """
    settings = {
        path: value
        for name in sections
        for path, value in _deciding(getattr(params, name), name)
        if path not in inputs
    }
    return Identity(settings, dict(inputs), source_digests(root, packages))


def run_name(prefix: str, identity: Identity) -> str:
    """The name of a run that was given none: it says what it is, other settings get another."""
    return f"{prefix}-{identity.fingerprint[:10]}"


def checked_run_name(name: str) -> str:
    """The name itself.

    Raises:
        ValueError: If it cannot name a folder and an object alike.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"run name {name!r}: expected a letter or digit, then letters, digits, '.', '_' and '-'"
        )
    return name


def difference(old: Identity, new: Identity) -> list[str]:
    """What changed from one identity to another, one line each; empty if nothing did."""
    lines = []
    for path in sorted({*old.settings, *new.settings}):
        was, now = old.settings.get(path, "absent"), new.settings.get(path, "absent")
        if was != now:
            lines.append(f"{path}: {json.dumps(was)} -> {json.dumps(now)}")
    for path in sorted({*old.inputs, *new.inputs}):
        was, now = old.inputs.get(path, "absent"), new.inputs.get(path, "absent")
        if was != now:
            lines.append(f"{path}: content {was[:_SHOWN]} -> {now[:_SHOWN]}")
    for path in sorted({*old.sources, *new.sources}):
        if path not in old.sources:
            lines.append(f"{path}: new source file")
        elif path not in new.sources:
            lines.append(f"{path}: source file is gone")
        elif old.sources[path] != new.sources[path]:
            lines.append(f"{path}: code changed")
    return lines


def source_digests(root: Path, packages: Sequence[str]) -> dict[str, str]:
    """Path relative to `root` -> digest of the code, for every Python file of the packages."""
    files = sorted(path for name in packages for path in (root / name).rglob("*.py"))
    return {path.relative_to(root).as_posix(): _code_digest(path) for path in files}


def code_of(source: str) -> str:
    """Source text without comments, docstrings, blank lines and trailing blanks.

    A docstring is any statement that is a string alone, so the sentences below settings count as
    docstrings too. Text is cut out by position: the result does not depend on the Python version.
    """
    lines = source.split("\n")
    spans = sorted([*_comments(source), *_docstrings(source)], reverse=True)
    for (first, start), (last, end) in spans:
        head, tail = _cut(lines[first - 1], start)[0], _cut(lines[last - 1], end)[1]
        lines[first - 1 : last] = [head + tail]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def digest_path(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents below a folder; in hexadecimal.

    Raises:
        ValueError: If there is neither.
    """
    if path.is_file():
        return _file_digest(path)
    if not path.is_dir():
        raise ValueError(f"{path}: expected a file or a folder there")
    files = sorted(p for p in path.rglob("*") if p.is_file())
    return _digest({p.relative_to(path).as_posix(): _file_digest(p) for p in files})


def _deciding(model: BaseModel, prefix: str) -> Iterator[tuple[str, Any]]:
    """Settings that change the result: path and value."""
    values = model.model_dump(mode="json")
    for name, info in type(model).model_fields.items():
        extra = info.json_schema_extra
        if isinstance(extra, dict) and extra.get("same_result"):
            continue
        inner = getattr(model, name)
        if isinstance(inner, BaseModel):
            yield from _deciding(inner, f"{prefix}.{name}")
        else:
            yield f"{prefix}.{name}", values[name]


Span = tuple[tuple[int, int], tuple[int, int]]
"""First and last position of a piece of source: (line from 1, UTF-8 byte in the line from 0)."""


def _comments(source: str) -> Iterator[Span]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            (line, start), (_, end) = token.start, token.end
            before, text = token.line[:start], token.line[start:end]
            first = len(before.encode())
            yield (line, first), (line, first + len(text.encode()))


def _docstrings(source: str) -> Iterator[Span]:
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            last, end = node.end_lineno, node.end_col_offset
            assert isinstance(last, int)
            assert isinstance(end, int)
            yield (node.lineno, node.col_offset), (last, end)


def _cut(line: str, byte: int) -> tuple[str, str]:
    """A line in two, divided before a byte of its UTF-8 form."""
    data = line.encode()
    return data[:byte].decode(), data[byte:].decode()


def _code_digest(path: Path) -> str:
    text = path.read_text()
    try:
        text = code_of(text)
    except SyntaxError:  # of a file that no run imports; all of its text counts
        pass
    return hashlib.sha256(text.encode()).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(tree: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()
