"""The rows of a grid of trainings: what each changes, and the settings of each of its items.

A grid is a YAML file (params/grid/): settings for all, then named rows that change some. An item is
a row with a seed. Items of one seed share their slow and fast networks, the seed's start.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from mila.config import Params
from mila.identity import identify
from mila.overrides import check, merge
from mila.settings import Settings

_STAGES = ("slow", "fast", "joint")
_SECTIONS = ("data", "model", "loss", "train", "evaluation")


class Row(Settings):
    """One row of a grid."""

    group: str
    """Table it belongs to."""
    title: str
    """Its name in the table."""
    about: str = ""
    """What it changes, in words."""
    method: Literal["slow", "fast", "mila"] = "mila"
    """Whose figures are the row's own."""
    alone: bool = False
    """Trained from random weights instead of from the seed's shared networks."""
    adaptive: tuple[float, ...] = ()
    """Shares of frames refreshed early, for adaptive schedules; measured at the first seed."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Laid over the settings of the grid."""


class Grid(Settings):
    """A file of params/grid/."""

    title: str = "Results"
    """Heading of the page of results."""
    about: str = ""
    """What the data are and what the page is for, a sentence or two."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Laid over the settings of the command, for all rows."""
    rows: dict[str, Row]
    """Rows by name, the most wanted first."""


@dataclass(frozen=True)
class Item:
    """A row with a seed."""

    name: str
    row: Row
    seed: int
    is_first_seed: bool

    @property
    def label(self) -> str:
        """Its name among all items, a file name too."""
        return f"{self.name}-s{self.seed}"


def read_grid(path: Path) -> Grid:
    """Read a grid file.

    Raises:
        ValueError: If it is not one; says what is wrong where.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no grid file there")
    try:
        return Grid.model_validate(yaml.safe_load(path.read_text()))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{path}: {where}: {first['msg']}") from None


def items_of(grid: Grid, names: Sequence[str], seeds: Sequence[int]) -> list[Item]:
    """Items in the order in which they are wanted: row by row, its seeds one after another.

    Args:
        grid: All rows.
        names: Rows to take; empty = all.
        seeds: Different whole numbers, 0 or more.

    Raises:
        ValueError: For an unknown row or seeds that are none.
    """
    unknown = [name for name in names if name not in grid.rows]
    if unknown:
        raise ValueError(f"rows={unknown[0]}: no such row; there are {', '.join(grid.rows)}")
    if not seeds or min(seeds) < 0 or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds={list(seeds)}: expected different whole numbers from 0 on")
    return [
        Item(name, grid.rows[name], seed, is_first_seed=seed == min(seeds))
        for name in (names or tuple(grid.rows))
        for seed in seeds
    ]


def start_params(grid: Grid, base: Params, seed: int) -> Params:
    """Settings of the seed's shared networks: slow and fast per frame, nothing jointly."""
    return _laid(base, grid.settings, {"train": {"joint": {"updates": 0}}}, seed)


def item_params(grid: Grid, base: Params, item: Item) -> Params:
    """Settings of an item; stages that the row does not name are done by the shared networks."""
    shared: dict[str, Any] = {}
    if not item.row.alone:
        shared = {"train": {stage: {"updates": 0} for stage in ("slow", "fast")}}
    over: dict[str, Any] = {}
    for tree in (grid.settings, shared, item.row.settings):
        merge(over, _copied(tree))
    return _laid(base, over, {}, item.seed)


def trains(params: Params) -> bool:
    """Whether any stage has updates."""
    return any(getattr(params.train, stage).updates for stage in _STAGES)


def fingerprint(params: Params, inputs: Mapping[str, str]) -> str:
    """SHA-256 of what decides an item's result, sources apart; in hexadecimal."""
    identity = identify(params, inputs, sections=_SECTIONS, packages=())
    page = {"settings": dict(identity.settings), "inputs": dict(inputs)}
    return hashlib.sha256(json.dumps(page, sort_keys=True).encode()).hexdigest()


def _laid(base: Params, over: Mapping[str, Any], last: Mapping[str, Any], seed: int) -> Params:
    tree = base.model_dump(mode="json", exclude_unset=True)
    for more in (over, last, {"train": {"seed": seed}}):
        merge(tree, _copied(more))
    return check(tree)


def _copied(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A deep copy of plain values: merging must not reach into the grid."""
    copied: dict[str, Any] = json.loads(json.dumps(tree))
    return copied
