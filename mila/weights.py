"""A checkpoint file into a network, strictly: what is missing or left over is named.

The file is a plain state dict (name -> tensor) saved by torch, as public ImageNet checkpoints are.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

_SHOWN = 8


def load_weights(network: nn.Module, path: str | Path, *, ignore: tuple[str, ...] = ()) -> str:
    """Fill a network from a file.

    Args:
        network: Receives the weights; unchanged if anything does not fit.
        path: File with a state dict; nothing but tensors is unpickled.
        ignore: Beginnings of keys of the file that are not looked at, like `fc.`.

    Returns:
        The sha256 of the file, in hexadecimal.

    Raises:
        ValueError: If the file cannot be read, or a key is missing, left over or of another shape.
    """
    data = _read(Path(path))
    weights = {k: v for k, v in _state_dict(data, path).items() if not k.startswith(ignore)}
    own = network.state_dict()
    # Counters of batches seen: absent from older public files, without effect on results.
    missing = [k for k in own if k not in weights and not k.endswith(".num_batches_tracked")]
    unexpected = [k for k in weights if k not in own]
    shapes = [
        f"{k} {tuple(v.shape)} instead of {tuple(own[k].shape)}"
        for k, v in weights.items()
        if k in own and v.shape != own[k].shape
    ]
    problems = [
        f"{words}: {_listed(names)}"
        for words, names in (
            ("missing", missing),
            ("left over", unexpected),
            ("of another shape", shapes),
        )
        if names
    ]
    if problems:
        raise ValueError(f"{path} does not fit {type(network).__name__}; {'; '.join(problems)}")
    network.load_state_dict(weights, strict=False)
    return hashlib.sha256(data).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"weights file {path} cannot be read: {error.strerror}") from error


def _state_dict(data: bytes, path: str | Path) -> dict[str, Tensor]:
    """Unpickle tensors by name."""
    try:
        loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise ValueError(f"weights file {path} is not a state dict saved by torch") from error
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise ValueError(f"weights file {path} must hold a dict of names and tensors alone")
    return loaded


def _listed(names: list[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
