"""Entropy and mass of attention weights against the weights by definition."""

import math

import pytest
import torch

from mila.attention import attention_statistics, count_pairs, inter_frame_local_attention


@pytest.mark.parametrize("height, width, radius", [(5, 7, 2), (3, 2, 4), (4, 4, 0)])
def test_mass_and_entropy_by_attention_itself(height: int, width: int, radius: int) -> None:
    torch.manual_seed(0)
    query = torch.randn(2, 4, height, width, dtype=torch.float64)
    key = torch.randn(2, 2, 4, height, width, dtype=torch.float64)
    present = torch.tensor([[True, True], [True, False]])
    bias = torch.tensor([0.0, 0.3], dtype=torch.float64)
    places = height * width
    # A value that is 1 at one place of one reference carries that place's weight.
    marks = torch.eye(2 * places, dtype=torch.float64).view(1, 2 * places, 2, height, width)
    marks = marks.transpose(1, 2).expand(2, -1, -1, -1, -1)
    weights = inter_frame_local_attention(
        query, key, marks, radius=radius, present=present, bias=bias
    )

    statistics = attention_statistics(query, key, radius=radius, present=present, bias=bias)

    mass = weights.view(2, 2, places, height, width).sum(dim=2)
    torch.testing.assert_close(statistics.mass, mass)
    entropy = -torch.xlogy(weights, weights).sum(dim=1)
    rows = [min(height - 1, y + radius) - max(0, y - radius) + 1 for y in range(height)]
    columns = [min(width - 1, x + radius) - max(0, x - radius) + 1 for x in range(width)]
    for sample, references in enumerate((2, 1)):
        for y in range(height):
            for x in range(width):
                largest = math.log(references * rows[y] * columns[x])
                expected = entropy[sample, y, x].item() / largest if largest else 0.0
                assert statistics.entropy[sample, y, x].item() == pytest.approx(expected)


@pytest.mark.parametrize("height, width, radius", [(5, 7, 2), (3, 2, 4), (4, 4, 0), (1, 9, 3)])
def test_pairs_by_brute_count(height: int, width: int, radius: int) -> None:
    places = [(y, x) for y in range(height) for x in range(width)]
    brute = sum(abs(y - v) <= radius and abs(x - u) <= radius for y, x in places for v, u in places)

    assert count_pairs(height, width, radius) == brute


def test_pairs_by_the_closed_form() -> None:
    assert count_pairs(64, 128, 5) == (64 * 11 - 30) * (128 * 11 - 30)
