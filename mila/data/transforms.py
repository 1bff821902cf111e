"""Random changes of a clip: zoom, crop, mirror and colour, the same for every frame and label.

T frames, H rows, W columns of the clip; h, w rows and columns of the crop. What is drawn depends on
the generator that is passed in alone.

Source: depth divided by the zoom factor as in NYUd v2 training recipes.
"""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from mila.data.sample import ClipArrays
from mila.tasks import IGNORE_LABEL

_GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Augmentation:
    """What may be changed, and how far."""

    crop: tuple[int, int] | None = None
    """Rows and columns of the result; None keeps the clip's size."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest zoom; above 1 things look larger, and nearer."""
    flip: bool = True
    """Mirror left and right in half of the cases."""
    colour: float = 0.2
    """Brightness, contrast and saturation change by a factor of up to 1 - colour .. 1 + colour."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        low, high = self.scale
        if not 0 < low <= high:
            raise ValueError(f"data.scale: expected 0 < smallest <= largest, got {self.scale}")
        if not 0 <= self.colour <= 1:
            raise ValueError(f"data.colour: expected 0..1, got {self.colour}")


def augment(clip: ClipArrays, settings: Augmentation, random: np.random.Generator) -> ClipArrays:
    """Change a clip at random, every frame and label alike.

    A zoom by s divides depth by s and multiplies flow by s; a mirror turns the sign of the normals'
    and the flow's horizontal part. What comes from outside the image is ignored in the labels and a
    reflection in the images.

    Args:
        clip: The clip; it is not changed.
        settings: What may be changed.
        random: Where the randomness comes from; the same state gives the same clip.

    Returns:
        The changed clip, T frames of h x w.

    Raises:
        ValueError: If the crop is larger than the zoomed clip.
    """
    clip = crop_and_zoom(clip, _draw_window(clip, settings, random))
    if settings.flip and random.random() < 0.5:
        clip = mirror(clip)
    if settings.colour:
        brightness, contrast, saturation = random.uniform(
            1 - settings.colour, 1 + settings.colour, size=3
        )
        clip = change_colour(clip, brightness=brightness, contrast=contrast, saturation=saturation)
    return clip


@dataclass(frozen=True)
class Window:
    """A piece of the image and the size to which it is brought."""

    top: int
    left: int
    height: int
    width: int
    out_height: int
    out_width: int
    scale: float
    """Zoom factor that was drawn; rounding to whole pixels makes the two axes differ slightly."""


def crop_and_zoom(clip: ClipArrays, window: Window) -> ClipArrays:
    """Cut the window out of every frame and label and bring it to its new size.

    A window that reaches over the border sees reflected images and ignored labels.
    """
    size = (window.out_height, window.out_width)
    unchanged = size == clip.semseg.shape[1:] == (window.height, window.width)
    if unchanged and not (window.top or window.left):
        return clip
    padded, inner = _pad(clip, window)
    rows = _nearest(inner.top, inner.height, size[0])
    columns = _nearest(inner.left, inner.width, size[1])
    pick = np.ix_(np.arange(len(padded.images)), rows, columns)
    per_axis = np.array([size[1] / inner.width, size[0] / inner.height], np.float32)
    return replace(
        padded,
        images=_resize_images(padded.images, inner),
        semseg=padded.semseg[pick],
        depth=padded.depth[pick] / np.float32(window.scale),
        normals=None if padded.normals is None else padded.normals[pick],
        flow=None if padded.flow is None else _without_leavers(padded.flow[pick] * per_axis),
        intrinsics=_zoomed_intrinsics(clip, window, per_axis),
    )


def mirror(clip: ClipArrays) -> ClipArrays:
    """Swap left and right; horizontal directions change their sign."""
    width = clip.semseg.shape[2]
    focal = clip.intrinsics
    return replace(
        clip,
        images=_mirrored(clip.images),
        semseg=_mirrored(clip.semseg),
        depth=_mirrored(clip.depth),
        normals=_mirrored_vectors(clip.normals, (-1, 1, 1)),
        flow=_mirrored_vectors(clip.flow, (-1, 1)),
        intrinsics=None if focal is None else (focal[0], focal[1], width - 1 - focal[2], focal[3]),
    )


def change_colour(
    clip: ClipArrays, *, brightness: float, contrast: float, saturation: float
) -> ClipArrays:
    """Multiply brightness, distance from mid grey and distance from the pixel's own grey.

    One 3x4 matrix for the whole clip; values beyond 0..255 are cut off.
    """
    grey = np.tile(np.array(_GREY), (3, 1))
    colour = contrast * brightness * (saturation * np.eye(3) + (1 - saturation) * grey)
    offset = np.full((3, 1), 127.5 * (1 - contrast))
    matrix = np.hstack([colour, offset]).astype(np.float32)
    frames, height, width = clip.semseg.shape
    tall = clip.images.reshape(frames * height, width, 3)
    changed = np.asarray(cv2.transform(tall, matrix), np.uint8)
    return replace(clip, images=changed.reshape(clip.images.shape))


def _draw_window(clip: ClipArrays, settings: Augmentation, random: np.random.Generator) -> Window:
    """A window of the wished zoom, anywhere inside the image (centred where it is larger)."""
    height, width = clip.semseg.shape[1:]
    out_height, out_width = settings.crop or (height, width)
    low, high = settings.scale
    scale = float(np.exp(random.uniform(np.log(low), np.log(high))))
    rows, columns = max(1, round(out_height / scale)), max(1, round(out_width / scale))
    if settings.crop and low == high == 1 and (rows > height or columns > width):
        raise ValueError(
            f"data.crop {out_height}x{out_width} is larger than clip {clip.key}, {height}x{width}"
        )
    top = _draw_offset(height - rows, random)
    left = _draw_offset(width - columns, random)
    return Window(top, left, rows, columns, out_height, out_width, scale)


def _draw_offset(room: int, random: np.random.Generator) -> int:
    place = random.random()  # drawn in any case: later draws must not depend on the size
    return int(place * (room + 1)) if room >= 0 else room // 2


def _pad(clip: ClipArrays, window: Window) -> tuple[ClipArrays, Window]:
    """Add a border so that the window lies inside; without need the clip itself comes back."""
    height, width = clip.semseg.shape[1:]
    above, left = max(0, -window.top), max(0, -window.left)
    below = max(0, window.top + window.height - height)
    right = max(0, window.left + window.width - width)
    if not above + below + left + right:
        return clip, window
    sides = (above, below, left, right)
    padded = replace(
        clip,
        images=_bordered(clip.images, sides, None),
        semseg=_bordered(clip.semseg, sides, IGNORE_LABEL),
        depth=_bordered(clip.depth, sides, 0),
        normals=None if clip.normals is None else _bordered(clip.normals, sides, 0),
        flow=None if clip.flow is None else _bordered(clip.flow, sides, np.nan),
    )
    return padded, replace(window, top=window.top + above, left=window.left + left)


Array = TypeVar("Array", bound=npt.NDArray[Any])


def _bordered(array: Array, sides: tuple[int, int, int, int], value: float | None) -> Array:
    """Extend rows and columns by a value, or by reflection if there is none."""
    above, below, left, right = sides
    widths = [(0, 0), (above, below), (left, right)] + [(0, 0)] * (array.ndim - 3)
    if value is None:
        return np.pad(array, widths, mode="symmetric")  # type: ignore[return-value]
    return np.pad(array, widths, constant_values=value)  # type: ignore[return-value]


def _nearest(start: int, length: int, out: int) -> npt.NDArray[np.int64]:
    """The source index under the centre of every target pixel, (out,)."""
    return start + ((np.arange(out) * 2 + 1) * length) // (2 * out)


def _resize_images(images: npt.NDArray[np.uint8], window: Window) -> npt.NDArray[np.uint8]:
    piece = images[
        :, window.top : window.top + window.height, window.left : window.left + window.width
    ]
    size = (window.out_height, window.out_width)
    if size == (window.height, window.width):
        return np.ascontiguousarray(piece)
    method = cv2.INTER_AREA if window.scale < 1 else cv2.INTER_LINEAR
    out = np.empty((len(images), *size, 3), np.uint8)
    for image, target in zip(piece, out, strict=True):
        cv2.resize(image, size[::-1], dst=target, interpolation=method)
    return out


def _without_leavers(flow: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Flow without the vectors that point out of the image, (T, H, W, 2)."""
    height, width = flow.shape[1:3]
    x = np.arange(width, dtype=np.float32) + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return np.where(inside[..., None], flow, np.float32(np.nan))


def _zoomed_intrinsics(
    clip: ClipArrays, window: Window, per_axis: npt.NDArray[np.float32]
) -> tuple[float, float, float, float] | None:
    """Focal lengths and centre in pixels of the result; pixel centres lie at whole numbers."""
    if clip.intrinsics is None:
        return None
    fx, fy, cx, cy = clip.intrinsics
    sx, sy = float(per_axis[0]), float(per_axis[1])
    centre = ((cx - window.left + 0.5) * sx - 0.5, (cy - window.top + 0.5) * sy - 0.5)
    return fx * sx, fy * sy, *centre


def _mirrored(frames: Array) -> Array:
    """Every frame with left and right swapped; OpenCV is 50 times faster than a reversed copy."""
    out: Array = np.empty_like(frames)
    for frame, target in zip(frames, out, strict=True):
        cv2.flip(frame, 1, dst=target)
    return out


def _mirrored_vectors(
    vectors: npt.NDArray[np.float32] | None, signs: tuple[int, ...]
) -> npt.NDArray[np.float32] | None:
    if vectors is None:
        return None
    return _mirrored(vectors) * np.array(signs, np.float32)
