"""Answers drawn over a film: classes over the picture, other tasks beside it, times below.

H W rows and columns of a panel of the drawing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np
import torch.nn.functional as F
from torch import Tensor

from mila.clip import Predictions
from mila.data.video import resized
from mila.latency import Trace
from mila.metrics import decided
from mila.panels import Painter, Picture, overlay
from mila.tasks import TASKS

_WIDEST = 640
"""Columns of a panel at most; larger films are drawn smaller."""
_STRIP = 56
"""Rows of the strip below the panels."""
_BARS = 120
"""Frames whose times are shown."""
_BAR_COLUMNS = 3
_BACKGROUND = (24, 26, 30)
_TEXT = (225, 228, 232)
_KEYFRAME = (255, 170, 60)
_OTHER = (90, 170, 255)


class Overlay:
    """Draws frame after frame; remembers the times of the last ones."""

    def __init__(self, painter: Painter, tasks: Sequence[str], size: tuple[int, int]) -> None:
        """Choose the layout.

        Args:
            painter: Draws values.
            tasks: Tasks of the model; classes lie over the picture, the others stand beside it.
            size: Rows and columns of the film.
        """
        self._painter = painter
        self._over = [task for task in tasks if TASKS[task].kind == "classes"]
        self._beside = [task for task in tasks if TASKS[task].kind != "classes"]
        scale = min(1.0, _WIDEST / size[1])
        # H.264 with halved chroma needs even sides.
        self._size = (_even(size[0] * scale), _even(size[1] * scale))
        self._times: deque[Trace] = deque(maxlen=_BARS)

    def draw(self, picture: Picture, predictions: Predictions, time: Trace) -> Picture:
        """One drawn frame, RGB, always of the same size.

        Args:
            picture: The frame of the film, any size.
            predictions: Of this frame alone, at any size.
            time: How long the answer took.
        """
        self._times.append(time)
        large = {t: _enlarged(value, self._size) for t, value in predictions.items()}
        answers = {t: value[0].cpu().numpy() for t, value in decided(large).items()}
        values = self._painter.shown(answers)
        first = resized(picture, self._size)
        for task in self._over:
            first = overlay(first, self._painter.values(task, values[task]))
        panels = [first, *(self._painter.values(task, values[task]) for task in self._beside)]
        drawing = np.concatenate(panels, axis=1)
        return np.concatenate([drawing, self._strip(drawing.shape[1])])

    def _strip(self, columns: int) -> Picture:
        """The time of this frame in words and of the last ones as bars."""
        strip = np.full((_STRIP, columns, 3), _BACKGROUND, np.uint8)
        now = self._times[-1]
        kind = "keyframe" if now.keyframe else f"{now.offset} after keyframe"
        for row, text in ((22, kind), (44, f"{now.milliseconds:.1f} ms")):
            font = cv2.FONT_HERSHEY_SIMPLEX
            cv2.putText(strip, text, (10, row), font, 0.5, _TEXT, 1, cv2.LINE_AA)
        longest = max(time.milliseconds for time in self._times)
        room = max((columns - 180) // _BAR_COLUMNS, 0)
        for place, time in enumerate(list(self._times)[::-1][:room]):
            right = columns - 8 - place * _BAR_COLUMNS
            height = max(1, round((_STRIP - 16) * time.milliseconds / longest))
            colour = _KEYFRAME if time.keyframe else _OTHER
            strip[_STRIP - 8 - height : _STRIP - 8, right - 1 : right + 1] = colour
        return strip


def _enlarged(value: Tensor, size: tuple[int, int]) -> Tensor:
    """A prediction at another size: smooth, because logits are enlarged, not ids."""
    is_flat = value.dim() == 3
    large = F.interpolate(value[:, None] if is_flat else value, size=size, mode="bilinear")
    return large[:, 0] if is_flat else large


def _even(side: float) -> int:
    return max(2, 2 * round(side / 2))
