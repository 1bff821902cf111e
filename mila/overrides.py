"""From params file, preset and `key=value` words to checked settings.

Order: params.yaml, then each `preset=NAME` (params/NAME.yaml), then the words. The same grammar
serves every verb of `pipeline/` and `flows/`.
"""

from __future__ import annotations

import difflib
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from mila.config import Params

ROOT = Path(__file__).resolve().parents[1]
"""Folder that holds params.yaml and params/."""


def load_params(words: Sequence[str] = (), *, file: Path | None = None) -> Params:
    """Read the params file, lay presets and words over it, and check the result.

    Args:
        words: `preset=NAME` or `section.field=value`; later ones win.
        file: Params file; default is params.yaml of the working folder, else of the project.

    Raises:
        ValueError: For an unknown name (with the nearest one), a value out of range, a bad file.
    """
    pairs = [_split(word) for word in words]
    for key, value in pairs:
        if key == "params":
            file = Path(value)
    path = file or _default_file()
    tree = _read(path) if path else {}
    for key, value in pairs:
        if key == "preset":
            merge(tree, _read(_preset_file(value)))
    for key, value in pairs:
        if key not in ("preset", "params"):
            merge(tree, _nested(key, _scalar(value)))
    return check(tree)


def check(tree: Mapping[str, Any]) -> Params:
    """Make settings of a plain tree; errors name the setting and what was expected."""
    _known(tree, Params, "")
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        raise ValueError("; ".join(_sentence(e) for e in error.errors())) from None


def merge(base: dict[str, Any], over: Mapping[str, Any]) -> None:
    """Lay one tree over another in place; leaves and lists replace."""
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = dict(value) if isinstance(value, Mapping) else value


@dataclass(frozen=True)
class Verb:
    """A command: its words, its help text, its exit codes.

    Attributes:
        name: How it is called, e.g. `python -m pipeline.shard`.
        summary: What it does, one sentence.
        example: A call that works.
        arguments: Words beyond the settings: name -> help text. A help text that starts with
            "required" makes the word required.
        sections: Settings sections worth listing in the help.
    """

    name: str
    summary: str
    example: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    sections: tuple[str, ...] = ()

    def run(
        self, argv: Sequence[str] | None, body: Callable[[Params, dict[str, str]], int | None]
    ) -> int:
        """Parse the words and run the body; 0 = done, 2 = bad input, said in one sentence."""
        words = list(sys.argv[1:] if argv is None else argv)
        if any(word in ("help", "--help", "-h") for word in words):
            sys.stdout.write(self.help())
            return 0
        try:
            own, rest = self.divide(words)
            return body(load_params(rest), own) or 0
        except (ValueError, FileNotFoundError, FileExistsError, NotADirectoryError) as error:
            sys.stderr.write(f"{self.name}: {error}\n")
            return 2
        except KeyboardInterrupt:
            sys.stderr.write(f"{self.name}: stopped\n")
            return 130

    def help(self) -> str:
        """The help text."""
        lines = [self.summary, "", f"    {self.example}", ""]
        if self.arguments:
            lines += ["Words of this command:"]
            lines += [f"  {name}=...  {text}" for name, text in self.arguments.items()] + [""]
        lines += ["Settings (params.yaml < preset=NAME < words), with their values:"]
        for path, value, text in describe(load_params(), self.sections):
            lines += [f"  {path}={value}", f"      {text}"]
        return "\n".join(lines) + "\n"

    def divide(self, words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
        """The command's own words by name, and the words that are settings.

        Raises:
            ValueError: For an unknown word, or if a required one is missing.
        """
        own: dict[str, str] = {}
        rest: list[str] = []
        for word in words:
            key, value = _split(word)
            if key in self.arguments:
                own[key] = value
            else:
                self._refuse_near_miss(key)
                rest.append(word)
        missing = [
            n for n, t in self.arguments.items() if t.startswith("required") and n not in own
        ]
        if missing:
            raise ValueError(f"{missing[0]}=... is required, e.g.: {self.example}")
        return own, rest

    def _refuse_near_miss(self, key: str) -> None:
        if "." in key or key in ("preset", "params") or key in Params.model_fields:
            return
        known = [*self.arguments, "preset", "params", *Params.model_fields]
        raise ValueError(f"unknown word {key}{_suggestion(key, known)}")


def describe(params: Params, sections: Sequence[str] = ()) -> Iterator[tuple[str, str, str]]:
    """Path, value and sentence of every setting, of all or some sections."""
    for name in sections or tuple(Params.model_fields):
        yield from _describe(getattr(params, name), name)


def _describe(model: BaseModel, prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _describe(value, f"{prefix}.{name}")
        else:
            yield f"{prefix}.{name}", str(value), info.description or ""


def _split(word: str) -> tuple[str, str]:
    key, sign, value = word.partition("=")
    if not sign or not key:
        raise ValueError(f"expected key=value, got {word!r}")
    return key, value


def _scalar(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def _default_file() -> Path | None:
    for folder in (Path.cwd(), ROOT):
        if (folder / "params.yaml").is_file():
            return folder / "params.yaml"
    return None


def _preset_file(name: str) -> Path:
    folder = ROOT / "params"
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in folder.glob("*.yaml"))
        raise ValueError(
            f"unknown preset {name}{_suggestion(name, known)} (have: {', '.join(known)})"
        )
    return path


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"no params file {path}")
    try:
        tree = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {error}") from None
    if not isinstance(tree or {}, dict):
        raise ValueError(f"{path}: expected sections with settings, got {type(tree).__name__}")
    return dict(tree or {})


def _known(tree: Mapping[str, Any], model: type[BaseModel], prefix: str) -> None:
    """Refuse names that do not exist, with the nearest that does."""
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if key not in model.model_fields:
            known = [f"{prefix}{name}" for name in model.model_fields]
            near = difflib.get_close_matches(path, known, n=1, cutoff=0.5)
            near = near or difflib.get_close_matches(
                path, [p for p, _ in _paths()], n=1, cutoff=0.5
            )
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"unknown setting {path}{hint}")
        inner = _section(model.model_fields[key].annotation)
        if isinstance(value, Mapping) and inner is not None:
            _known(value, inner, f"{path}.")


def _paths(model: type[BaseModel] = Params, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, info in model.model_fields.items():
        inner = _section(info.annotation)
        if inner is not None:
            yield from _paths(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", info


def _section(annotation: Any) -> type[BaseModel] | None:
    options = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else ()
    for option in (annotation, *options):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None


def _sentence(error: Any) -> str:
    path = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    got = "" if error["type"] == "value_error" else f", got {error['input']!r}"
    return f"{path}: {message}{got}" if path else message


def _suggestion(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""
