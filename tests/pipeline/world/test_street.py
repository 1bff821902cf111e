from dataclasses import replace

import numpy as np
import pytest

from pipeline.world.compose import random_street
from pipeline.world.street import FAR_AWAY, ROAD, SIDEWALK, TERRAIN, Bands, Street, ground_labels


@pytest.fixture
def street() -> Street:
    plain = random_street(np.random.default_rng(4))
    return replace(
        plain,
        amplitude=0.0,
        half_width=4.0,
        left=Bands((6.0, 8.0), (SIDEWALK, TERRAIN, TERRAIN)),
        right=Bands((5.0, 8.0), (TERRAIN, SIDEWALK, TERRAIN)),
        crossing_z=FAR_AWAY,
    )


def test_strips_lie_where_they_were_put(street) -> None:
    x = np.array([-9.0, -7.0, -5.0, -3.9, 0.0, 3.9, 4.5, 6.0, 9.0])

    labels = ground_labels(street, x, np.full_like(x, 12.0))

    expected = [TERRAIN, TERRAIN, SIDEWALK, ROAD, ROAD, ROAD, TERRAIN, SIDEWALK, TERRAIN]
    assert labels.tolist() == expected


def test_a_side_road_cuts_through_the_strips(street) -> None:
    crossed = replace(street, crossing_z=20.0, crossing_half=3.0)
    z = np.array([16.5, 18.0, 22.5, 23.5])

    labels = ground_labels(crossed, np.full_like(z, -5.0), z)

    assert labels.tolist() == [SIDEWALK, ROAD, ROAD, SIDEWALK]


def test_the_road_is_measured_across_its_course(street) -> None:
    """On a bend, the edge of the road is `half_width` from its middle, at right angles."""
    bent = replace(street, amplitude=8.0, wavelength=160.0, phase=0.6)
    z = 30.0
    slope = bent.slope(z)
    across = np.array([1.0, -slope]) / np.hypot(1, slope)

    for s, label in ((3.9, ROAD), (-3.9, ROAD), (4.3, TERRAIN), (-4.3, SIDEWALK)):
        x, far = np.array([bent.center(z), z]) + s * across
        assert ground_labels(bent, np.array([x]), np.array([far]))[0] == label
