import numpy as np

from pipeline.world.sensor import photograph


def scene() -> np.ndarray:
    ramp = np.linspace(0.02, 1.0, 24, dtype=np.float32)
    return np.broadcast_to(ramp[None, None, :, None], (3, 16, 24, 3)).copy()


def test_same_random_numbers_same_picture() -> None:
    first, second = (photograph(np.random.default_rng(5), scene()) for _ in range(2))

    np.testing.assert_array_equal(first, second)


def test_noise_is_new_in_every_frame() -> None:
    pictures = photograph(np.random.default_rng(5), scene()).astype(int)

    assert (pictures[0] != pictures[1]).mean() > 0.2


def test_brighter_surfaces_stay_brighter() -> None:
    columns = photograph(np.random.default_rng(2), scene()).mean((0, 1, 3))

    assert (np.diff(columns[4:20]) > 0).all()


def test_a_scene_ten_times_as_bright_is_exposed_for() -> None:
    dim, bright = (
        photograph(np.random.default_rng(1), scene() * gain).mean() for gain in (0.3, 3.0)
    )

    assert bright < 2.2 * dim
