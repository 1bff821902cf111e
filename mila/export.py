"""Exported models: weights and settings in one folder, read back without anything else.

`weights.pt` holds the plain state dict, `settings.json` the model's settings and where it is from.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mila.config import ModelSettings
from mila.model import Mila, build_model

_WEIGHTS, _SETTINGS = "weights.pt", "settings.json"


def export_model(model: Mila, folder: Path, *, origin: dict[str, Any]) -> str:
    """Write a model and give the SHA-256 of its weights.

    Args:
        model: Any device; written as CPU tensors.
        folder: Made if missing; files are replaced one by one, settings last.
        origin: Identity, data fingerprint, commit: whatever ties the weights to a run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    fresh = folder / f"{_WEIGHTS}.new"
    torch.save(weights, fresh)
    digest = hashlib.sha256(fresh.read_bytes()).hexdigest()
    os.replace(fresh, folder / _WEIGHTS)
    page = {"model": model.settings.model_dump(mode="json"), "sha256": digest, "origin": origin}
    (folder / _SETTINGS).write_text(json.dumps(page, indent=2, sort_keys=True) + "\n")
    return digest


def load_exported(folder: Path | str, *, device: torch.device | str = "cpu") -> Mila:
    """Read a model back, in eval mode.

    Raises:
        ValueError: If the folder holds no model, or weights that do not fit its settings.
    """
    folder = Path(folder)
    page = read_settings(folder)
    model = build_model(ModelSettings.model_validate(page["model"]))
    load_weights(model, folder)
    return model.to(device).eval()


def read_settings(folder: Path | str) -> dict[str, Any]:
    """The page written beside the weights."""
    path = Path(folder) / _SETTINGS
    if not path.is_file():
        raise ValueError(f"{folder}: no exported model here ({_SETTINGS} is missing); train first")
    page: dict[str, Any] = json.loads(path.read_text())
    return page


def adopt_networks(model: Mila, folder: Path | str) -> None:
    """Begin a joint stage with the slow and fast networks of another model.

    What lies between the frames stays as it is, and may be of another kind than in the folder.

    Raises:
        ValueError: If the folder holds no model, or networks of another size.
    """
    weights = _read_weights(Path(folder))
    for name in ("slow", "fast_alone"):
        start = f"{name}."
        own = {k.removeprefix(start): v for k, v in weights.items() if k.startswith(start)}
        try:
            getattr(model, name).load_state_dict(own)
        except RuntimeError as error:
            reason = str(error).splitlines()[1].strip()
            raise ValueError(f"{folder}: its network `{name}` does not fit: {reason}") from None
    model.start_joint()


def load_weights(model: Mila, folder: Path | str) -> None:
    """Fill a model with exported weights, strictly; the digest is checked.

    Raises:
        ValueError: If the file is damaged or belongs to another model configuration.
    """
    weights = _read_weights(Path(folder))
    own = model.state_dict()
    wrong = [k for k in own if k not in weights or weights[k].shape != own[k].shape]
    extra = [k for k in weights if k not in own]
    if wrong or extra:
        raise ValueError(
            f"{Path(folder) / _WEIGHTS}: weights are of another model configuration: "
            f"{len(wrong)} missing or of another shape (first: {wrong[:1]}), {len(extra)} left "
            f"over (first: {extra[:1]})"
        )
    model.load_state_dict(weights)


def _read_weights(folder: Path) -> dict[str, Tensor]:
    """The state dict of a folder; the digest is checked."""
    path = folder / _WEIGHTS
    if not path.is_file():
        raise ValueError(f"{folder}: no exported model here ({_WEIGHTS} is missing)")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    wanted = read_settings(folder)["sha256"]
    if digest != wanted:
        raise ValueError(f"{path}: SHA-256 is {digest[:12]}, settings.json says {wanted[:12]}")
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights
