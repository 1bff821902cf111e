"""Backward flow over several frames, from the flows between neighbours.

T frames, H rows, W columns. Source: composition of flow fields with bilinear reading; where any
step is unknown, so is the whole.
"""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from mila.data.sample import decode_clip

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
    steps = range(frames[0] + 1, frames[-1] + 1)
    flow = decode_clip(fields, key=key, frames=steps, want=["flow"]).flow
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
    height, width = flows.shape[1:3]
    total: Flow = np.zeros((height, width, 2), np.float32)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    for step in flows:
        known = np.nan_to_num(step)
        at = (columns + known[..., 0], rows + known[..., 1])
        unknown = np.asarray(np.isnan(total).any(axis=-1), np.float32)
        lost = _read(unknown, at) > 0
        total = step + _read(np.nan_to_num(total), at)
        total[lost] = np.nan
    return total


def _read(values: Flow, at: tuple[Flow, Flow]) -> Flow:
    """Read (H, W[, 2]) at columns and rows, bilinearly; beyond the border the border is read."""
    read = cv2.remap(values, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(read, np.float32)
