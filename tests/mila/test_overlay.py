"""Drawn frames: one size whatever comes in, the right panel where it belongs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mila.latency import Trace
from mila.overlay import Overlay
from mila.panels import Painter, depth_colours
from mila.tasks import LABEL_SETS

PAINTER = Painter(LABEL_SETS["cityscapes"], 80.0)


def predictions(depth: float = 10.0) -> dict[str, torch.Tensor]:
    logits = torch.zeros(1, 19, 16, 24)
    logits[:, 13] = 1
    return {"semseg": logits, "depth": torch.full((1, 16, 24), depth)}


@pytest.mark.parametrize("size, panel", [((48, 64), (48, 64)), ((541, 961), (360, 640))])
def test_all_frames_have_one_even_size(size: tuple[int, int], panel: tuple[int, int]) -> None:
    overlay = Overlay(PAINTER, ("semseg", "depth"), size)

    first = overlay.draw(np.zeros((*size, 3), np.uint8), predictions(), Trace(30.0, True, 0))
    other = overlay.draw(np.zeros((20, 31, 3), np.uint8), predictions(), Trace(5.0, False, 1))

    assert first.shape == other.shape
    assert first.shape[0] > panel[0]
    assert first.shape[1] == 2 * panel[1]
    assert first.shape[0] % 2 == first.shape[1] % 2 == 0


def test_classes_lie_over_the_picture_and_depth_beside_it() -> None:
    overlay = Overlay(PAINTER, ("semseg", "depth"), (48, 64))
    picture = np.full((48, 64, 3), 100, np.uint8)

    drawn = overlay.draw(picture, predictions(20.0), Trace(5.0, True, 0))

    car = np.array(LABEL_SETS["cityscapes"].colours[13])
    assert np.abs(drawn[24, 32] - (0.45 * 100 + 0.55 * car)).max() <= 1
    wanted = depth_colours(np.full((1, 1), 20.0), 80.0)[0, 0]
    assert drawn[24, 64 + 32].tolist() == wanted.tolist()


def test_keyframes_have_bars_of_their_own_colour() -> None:
    overlay = Overlay(PAINTER, ("depth",), (48, 320))
    picture = np.zeros((48, 320, 3), np.uint8)
    depth = {"depth": torch.full((1, 16, 24), 10.0)}

    overlay.draw(picture, depth, Trace(40.0, True, 0))
    drawn = overlay.draw(picture, depth, Trace(10.0, False, 1))

    strip = drawn[48:, 400:]
    orange = (strip == (255, 170, 60)).all(axis=-1).sum()
    blue = (strip == (90, 170, 255)).all(axis=-1).sum()
    assert orange == pytest.approx(4 * blue, rel=0.1)
    assert blue > 0
