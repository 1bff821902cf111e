"""From a recording of a data set to a clip: frames read, compared, resized and put together.

T frames, H rows, W columns.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mila.data.sample import ClipArrays
from mila.tasks import IGNORE_LABEL
from pipeline.datasets.recording import Frame, Recording

Size = tuple[int, int]


def make_clip(recording: Recording, size: Size | None = None) -> ClipArrays:
    """Read a recording.

    Args:
        recording: What to read.
        size: Rows and columns of the result; None keeps those of the images. Images are averaged
            over areas, labels take the nearest pixel, depth stays as it is in metres.

    Raises:
        ValueError: If a file cannot be used, or an image and a label or two frames differ in size.
    """
    frames = []
    original: Size | None = None
    for i, read in enumerate(recording.frames):
        frame = read()
        _check_sizes(recording, i, frame, original)
        original = _size_of(frame.image)
        frames.append(_resized(frame, size or original))
    if original is None:
        raise ValueError(f"clip {recording.key} has no frames")
    shape = (len(frames), *(size or original))
    return ClipArrays(
        key=recording.key,
        video=recording.video,
        split=recording.split,
        fps=recording.fps,
        start=recording.start,
        images=np.stack([frame.image for frame in frames]),
        semseg=_stacked([f.semseg for f in frames], np.full(shape, IGNORE_LABEL, np.uint8)),
        depth=_stacked([f.depth for f in frames], np.zeros(shape, np.float32)),
        normals=_stacked_normals(frames, shape),
        intrinsics=_scaled_intrinsics(recording, original, shape[1:]),
        label_set=recording.label_set,
        depth_units_per_metre=recording.depth_units_per_metre,
    )


def _check_sizes(recording: Recording, index: int, frame: Frame, before: Size | None) -> None:
    """Refuse labels that do not fit their image, and frames that do not fit each other."""
    size = _size_of(frame.image)
    somewhere = f"clip {recording.key}, frame {index}"
    if before is not None and size != before:
        where = frame.files.get("image", somewhere)
        raise ValueError(f"{where}: image is {_x(size)}, the frame before {_x(before)}")
    for what in ("semseg", "depth", "normals"):
        label = getattr(frame, what)
        if label is not None and _size_of(label) != size:
            where = frame.files.get(what, somewhere)
            raise ValueError(f"{where}: {what} is {_x(_size_of(label))}, its image {_x(size)}")


def _resized(frame: Frame, size: Size) -> Frame:
    if _size_of(frame.image) == size:
        return frame
    smaller = size[0] < frame.image.shape[0]
    return Frame(
        image=_resize(frame.image, size, cv2.INTER_AREA if smaller else cv2.INTER_LINEAR),
        semseg=_resize(frame.semseg, size, cv2.INTER_NEAREST_EXACT),
        depth=_resize(frame.depth, size, cv2.INTER_NEAREST_EXACT),
        normals=_resize(frame.normals, size, cv2.INTER_NEAREST_EXACT),
    )


def _resize(pixels: npt.NDArray[Any] | None, size: Size, method: int) -> Any:
    return None if pixels is None else cv2.resize(pixels, size[::-1], interpolation=method)


def _stacked(labels: Sequence[npt.NDArray[Any] | None], out: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Labels of every frame; those without one keep what `out` holds."""
    for target, label in zip(out, labels, strict=True):
        if label is not None:
            target[...] = label
    return out


def _stacked_normals(
    frames: Sequence[Frame], shape: tuple[int, ...]
) -> npt.NDArray[np.float32] | None:
    normals = [frame.normals for frame in frames]
    if all(n is None for n in normals):
        return None
    return _stacked(normals, np.zeros((*shape, 3), np.float32))


def _scaled_intrinsics(
    recording: Recording, original: Size, size: tuple[int, ...]
) -> tuple[float, float, float, float] | None:
    """Focal lengths and centre in pixels of the result; pixel centres lie at whole numbers."""
    if recording.intrinsics is None:
        return None
    fx, fy, cx, cy = recording.intrinsics
    sy, sx = size[0] / original[0], size[1] / original[1]
    return fx * sx, fy * sy, (cx + 0.5) * sx - 0.5, (cy + 0.5) * sy - 0.5


def _size_of(pixels: npt.NDArray[Any]) -> Size:
    return pixels.shape[0], pixels.shape[1]


def _x(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
