"""Backward flow over several frames, from the flows between neighbours.

T frames, H rows, W columns.
"""

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
import numpy.typing as npt
import torch

from mila.data.sample import decode_flow
from mila.warping import through

Flow = npt.NDArray[np.float32]


def flow_between_drawn(fields: Mapping[str, bytes], frames: Sequence[int], *, key: str) -> Flow:
    """Flow of every drawn frame to the one drawn before it, (T, H, W, 2) pixels.

    The first has none: NaN. A frame drawn twice has not moved.

    Args:
        fields: The fields of the sample.
        frames: The drawn frames, ascending.
        key: Name of the clip, for error messages.

    Raises:
        ValueError: If the sample has no flow.
    """
    flow = decode_flow(fields, key=key, frames=range(frames[0] + 1, frames[-1] + 1))
    if flow is None:
        raise ValueError(f"clip {key} has no optical flow, which exact_flow needs")
    out = np.full((len(frames), *flow.shape[1:]), np.nan, np.float32)
    for i in range(1, len(frames)):
        first, last = frames[i - 1] - frames[0], frames[i] - frames[0]
        out[i] = chained(flow[first:last])
    return out


def chained(flows: Flow) -> Flow:
    """Compose flows (T, H, W, 2) of neighbouring frames, oldest first.

    Returns:
        (H, W, 2): pixel p of the last frame was at p + flow before the first step; NaN where it was
        hidden or outside at any step. Without steps everything stays where it is.
    """
    steps = torch.from_numpy(flows).movedim(-1, 1)[:, None]
    start = torch.zeros(1, 2, *flows.shape[1:3])
    total: Flow = reduce(through, steps, start)[0].movedim(0, -1).numpy()
    return total
