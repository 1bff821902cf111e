"""Clips made of single labelled pictures: a smooth random camera path seen as homographies.

T frames of the clip, H rows, W columns. There is no parallax: everything moves as if it were one
plane. Sizes of the motion are those of a car in town at about 15 frames per second.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mila.data.sample import ClipArrays
from mila.tasks import IGNORE_LABEL

_FORWARD = 0.04
"""Largest growth of the picture per frame: 50 km/h at 17 frames/s, seen 20 m ahead."""
_SHIFT = 0.008
"""Standard deviation of the sideways motion per frame, in image widths: a turn of 0.4 degrees."""
_ROLL = 0.002
"""Standard deviation of the roll per frame, radians."""
_PERSPECTIVE = 0.004
"""Standard deviation of the change of perspective per frame, over half an image width."""
_BOB = 0.004
"""Standard deviation of the up and down of the camera, in image widths."""


@dataclass(frozen=True)
class CameraPath:
    """A smooth path of the camera; time counts frames, 0 is where the still was taken."""

    velocity: npt.NDArray[np.float64]
    """Growth (logarithm), shift right, shift down, roll, perspective x, perspective y, per frame,
    (6,)."""
    acceleration: npt.NDArray[np.float64]
    """Change of the velocity per frame, (6,)."""
    bob: tuple[float, float, float]
    """Height in image widths, radians per frame and phase of the up and down."""
    focus: tuple[float, float]
    """Where the motion comes from, in image widths right of and below the middle."""

    def homography(self, time: float, height: int, width: int) -> npt.NDArray[np.float64]:
        """From pixels of the frame at `time` to pixels of the still, (3, 3)."""
        growth, right, down, roll, tilt_x, tilt_y = (
            self.velocity * time + self.acceleration * time**2 / 2
        )
        size, speed, phase = self.bob
        down += size * (np.sin(speed * time + phase) - np.sin(phase))
        shrink = np.exp(-growth)  # what has grown by now was smaller in the still
        turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        motion = np.eye(3)
        motion[:2, :2] = shrink * turn
        motion[:2, 2] = right, down
        motion[2, :2] = tilt_x, tilt_y
        middle = (width - 1) / 2 + self.focus[0] * width, (height - 1) / 2 + self.focus[1] * width
        to_unit = np.array([[1 / width, 0, -middle[0] / width], [0, 1 / width, -middle[1] / width]])
        to_unit = np.vstack([to_unit, [0, 0, 1]])
        return np.asarray(np.linalg.inv(to_unit) @ motion @ to_unit)

    def growth(self, time: float) -> float:
        """How much larger things look at `time` than in the still."""
        return float(np.exp(self.velocity[0] * time + self.acceleration[0] * time**2 / 2))


def draw_path(random: np.random.Generator, frames: int) -> CameraPath:
    """A path whose speed changes by at most about half of itself within `frames` frames."""
    spread = np.array([0, _SHIFT, _SHIFT / 2, _ROLL, _PERSPECTIVE * 2, _PERSPECTIVE * 2])
    velocity = random.normal(size=6) * spread
    velocity[0] = random.uniform(-0.1, 1.0) * _FORWARD
    acceleration = velocity * random.uniform(-0.5, 0.5, size=6) / max(frames, 1)
    bob = (_BOB * random.normal(), random.uniform(0.4, 1.2), random.uniform(0, 2 * np.pi))
    focus = (random.uniform(-0.15, 0.15), random.uniform(-0.05, 0.05))
    return CameraPath(velocity, acceleration, bob, focus)


def still_to_clip(
    still: ClipArrays, ages: Sequence[int], random: np.random.Generator, *, reach: int
) -> ClipArrays:
    """Move a still as if it had been filmed.

    The still lies somewhere in the span of `reach` frames, so what leaves the picture is shared
    between early and late frames. Images see reflections from outside, labels ignore it. Depth is
    divided by the growth of the picture; normals keep their direction; flow is dropped.

    Args:
        still: A clip of one frame.
        ages: For every frame of the result its distance from the last one, in frames.
        random: Where the randomness comes from.
        reach: Span of the path in frames; the path does not depend on `ages`.

    Returns:
        A clip of T = len(ages) frames.

    Raises:
        ValueError: If the clip has several frames.
    """
    if len(still.images) != 1:
        raise ValueError(f"clip {still.key} has {len(still.images)} frames, a still has one")
    path = draw_path(random, reach)
    last = random.uniform(0, reach)
    times = [last - age for age in ages]
    height, width = still.semseg.shape[1:]
    maps = [path.homography(time, height, width) for time in times]
    growth = np.array([path.growth(time) for time in times], np.float32)[:, None, None]
    normals = still.normals
    return replace(
        still,
        images=_warped(still.images[0], maps, None).astype(np.uint8),
        semseg=_warped(still.semseg[0], maps, IGNORE_LABEL).astype(np.uint8),
        depth=(_warped(still.depth[0], maps, 0) / growth).astype(np.float32),
        normals=None if normals is None else _warped(normals[0], maps, 0).astype(np.float32),
        flow=None,
    )


def _warped(
    picture: npt.NDArray[Any], maps: Sequence[npt.NDArray[np.float64]], outside: float | None
) -> npt.NDArray[Any]:
    """A picture seen through every homography, (T, H, W, ...).

    Blended and reflected outside; with a value for what is outside, the nearest pixel.
    """
    height, width = picture.shape[:2]
    method = cv2.INTER_LINEAR if outside is None else cv2.INTER_NEAREST
    border = cv2.BORDER_REFLECT_101 if outside is None else cv2.BORDER_CONSTANT
    frames = [
        cv2.warpPerspective(
            picture,
            homography,
            (width, height),
            flags=method | cv2.WARP_INVERSE_MAP,
            borderMode=border,
            borderValue=(outside or 0,) * 3,
        )
        for homography in maps
    ]
    return np.stack(frames)
