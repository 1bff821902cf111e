"""Temporal consistency: exact on a moving picture, and by hand."""

from __future__ import annotations

import math

import pytest
import torch

from mila.temporal import Consistency, warp_previous


def shifted(picture: torch.Tensor, right: int, down: int) -> torch.Tensor:
    return torch.roll(picture, (down, right), dims=(-2, -1))


def test_warp_undoes_a_shift_and_knows_what_came_from_outside() -> None:
    generator = torch.Generator().manual_seed(0)
    previous = torch.randint(0, 19, (2, 5, 7), generator=generator)
    flow = torch.zeros(2, 2, 5, 7)
    flow[:, 0], flow[:, 1] = -2.0, -1.0  # The picture moves 2 right and 1 down.

    warped, visible = warp_previous(previous, flow)

    assert torch.equal(visible[0, 1:, 2:], torch.ones(4, 5, dtype=torch.bool))
    assert not visible[:, 0].any()
    assert not visible[:, :, :2].any()
    assert torch.equal(warped[visible], shifted(previous, 2, 1)[visible])


def test_hidden_pixels_are_not_visible() -> None:
    flow = torch.zeros(1, 2, 3, 3)
    flow[0, :, 1, 1] = math.nan

    _, visible = warp_previous(torch.zeros(1, 3, 3), flow)

    assert visible.sum() == 8
    assert not visible[0, 1, 1]


def test_a_prediction_that_moves_with_the_picture_is_fully_consistent() -> None:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 19, (2, 6, 8), generator=generator)
    depth = torch.rand(2, 6, 8, generator=generator) + 1
    flow = torch.zeros(2, 2, 6, 8)
    flow[:, 0] = -1.0
    consistency = Consistency(("semseg", "depth"), "cityscapes", 80.0)

    consistency.add(
        {"semseg": ids, "depth": depth},
        {"semseg": shifted(ids, 1, 0), "depth": shifted(depth, 1, 0)},
        flow,
    )

    assert consistency.compute() == {"semseg/consistency": 1.0, "depth/log_change": 0.0}


def test_by_hand_and_added_up() -> None:
    flow = torch.zeros(1, 2, 1, 4)
    flow[0, 0, 0, 3] = math.nan
    before = {"semseg": torch.tensor([[[0, 0, 1, 1]]]), "depth": torch.tensor([[[1.0, 2, 0, 4]]])}
    now = {"semseg": torch.tensor([[[0, 1, 1, 0]]]), "depth": torch.tensor([[[1.0, 4, 5, 9]]])}
    once, twice = (Consistency(("semseg", "depth"), "cityscapes", 80.0) for _ in range(2))

    once.add(before, now, flow)
    twice.add(before, now, flow)
    twice.merge(once)

    expected = {"semseg/consistency": (1 / 2 + 1 / 2) / 2, "depth/log_change": math.log(2) / 2}
    assert once.compute() == pytest.approx(expected)
    assert twice.compute() == pytest.approx(expected)
    assert twice.depths["depth"][0] == 4


def test_ignored_labels_and_missing_tasks_do_not_count() -> None:
    consistency = Consistency(("semseg", "depth"), "camvid", 80.0)

    consistency.add(
        {"semseg": torch.tensor([[[255, 3, 3]]])},
        {"semseg": torch.tensor([[[3, 255, 3]]])},
        torch.zeros(1, 2, 1, 3),
    )

    assert consistency.compute() == {"semseg/consistency": 1.0}
    assert consistency.classes["semseg"].pixels() == 1
