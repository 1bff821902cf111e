"""Panels of pictures, taken into the page itself."""

from __future__ import annotations

import base64
import json
from html import escape
from pathlib import Path
from typing import Any

from mila.panels import INDEX_NAME
from mila.tasks import LABEL_SETS
from pipeline.page.words import TASK_NAMES


def panels(folder: Path) -> str:
    """All panels of a folder that `mila.panels.write_panels` wrote.

    Raises:
        ValueError: If a picture that the index lists is missing.
    """
    index = json.loads((folder / INDEX_NAME).read_text())
    return "".join(_panel(folder, panel) for panel in index)


def class_legend(label_set: str) -> str:
    """Names of classes on their colours."""
    entries = LABEL_SETS[label_set]
    keys = "".join(
        f'<span><i style="background:rgb{colour}"></i>{escape(name)}</span>'
        for name, colour in zip(entries.names, entries.colours, strict=True)
    )
    return f'<p class="legend classes">{keys}</p>'


def _panel(folder: Path, panel: dict[str, Any]) -> str:
    tiles = "".join(_tile(folder, tile) for tile in panel["tiles"])
    task, colon, rest = panel["title"].partition(":")
    title = TASK_NAMES.get(task, task.capitalize()) + colon + rest
    return f'<h3>{escape(title)}</h3><div class="panel">{tiles}</div>'


def _tile(folder: Path, tile: dict[str, str]) -> str:
    path = folder / tile["file"]
    if not path.is_file():
        raise ValueError(f"{path}: picture is missing; evaluate again")
    data = base64.b64encode(path.read_bytes()).decode()
    title = escape(tile["title"])
    return (
        f'<figure><img class="{tile["kind"]}" alt="{title}" src="data:image/png;base64,{data}">'
        f"<figcaption>{title}</figcaption></figure>"
    )
