"""A batch on its way from a loader process to training: one block of shared memory.

Every tensor that crosses on its own costs a connection to the loader process, which answers when it
finds time between pictures, and training waits for the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mila.clip import Clip
from mila.data.plan import Position


@dataclass(frozen=True)
class LoadedBatch:
    """A batch and where all ranks stand after it.

    Pickled, its tensors are one; unpickled, they are views of it with the same bits.
    """

    clip: Clip
    after: Position

    def __reduce__(self) -> tuple[Callable[..., LoadedBatch], tuple[Any, ...]]:
        clip = self.clip
        named = {"images": clip.images, "frames": clip.frames, "flow": clip.flow, **clip.labels}
        tensors = {name: tensor for name, tensor in named.items() if tensor is not None}
        # Largest items first: then each tensor begins at a multiple of its item's size.
        order = sorted(tensors, key=lambda name: -tensors[name].element_size())
        layout = [(name, tensors[name].dtype, tensors[name].shape) for name in order]
        block = torch.cat([tensors[name].reshape(-1).view(torch.uint8) for name in order])
        return _unpacked, (block, layout, tuple(clip.labels), clip.keys, self.after)


def _unpacked(
    block: Tensor,
    layout: list[tuple[str, torch.dtype, torch.Size]],
    tasks: tuple[str, ...],
    keys: tuple[str, ...],
    after: Position,
) -> LoadedBatch:
    sizes = [shape.numel() * dtype.itemsize for _, dtype, shape in layout]
    named = {
        name: part.view(dtype).view(shape)
        for (name, dtype, shape), part in zip(layout, torch.split(block, sizes), strict=True)
    }
    clip = Clip(
        images=named["images"],
        labels={task: named[task] for task in tasks},
        frames=named["frames"],
        keys=keys,
        flow=named.get("flow"),
    )
    return LoadedBatch(clip, after)
