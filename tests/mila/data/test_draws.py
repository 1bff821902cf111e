from collections import Counter

import numpy as np
import pytest

from mila.data.draws import FrameDraw, draw_frames


def many(draw: FrameDraw, frames: int, labelled: list[int], count: int = 4000) -> Counter:
    random = np.random.default_rng(0)
    return Counter(tuple(draw_frames(draw, frames, labelled, random)) for _ in range(count))


def test_all_gives_every_frame_without_randomness():
    assert draw_frames(FrameDraw("all"), 4, [2], None) == [0, 1, 2, 3]


def test_single_gives_labelled_frames_alike():
    counts = many(FrameDraw("single"), 10, [2, 5, 9])

    assert set(counts) == {(2,), (5,), (9,)}
    assert min(counts.values()) > 0.28 * 4000


def test_offsets_are_uniform_and_end_on_a_label():
    counts = many(FrameDraw("offset", max_offset=4), 12, list(range(12)))

    offsets = Counter()
    for (key, frame), n in counts.items():
        assert 0 <= key < frame < 12
        offsets[frame - key] += n
    assert set(offsets) == {1, 2, 3, 4}
    assert min(offsets.values()) > 0.22 * 4000


def test_offsets_stay_inside_the_clip():
    counts = many(FrameDraw("offset", max_offset=9), 4, [0, 1, 3])

    assert {frame for _, frame in counts} == {1, 3}
    assert {frame - key for key, frame in counts} == {1, 2, 3}


def test_a_walk_brings_the_frames_before_and_begins_no_sooner_than_the_keyframe():
    counts = many(FrameDraw("offset", max_offset=3, walk=2), 20, [19])
    assert set(counts) == {(18, 18, 19), (17, 18, 19), (16, 18, 19)}

    counts = many(FrameDraw("offset", max_offset=4, walk=3), 20, [19])
    assert set(counts) == {(18, 18, 18, 19), (17, 17, 18, 19), (16, 17, 18, 19), (15, 17, 18, 19)}


@pytest.mark.parametrize(
    "words, message",
    [
        ({"kind": "offset"}, "expected >= 1"),
        ({"kind": "single", "max_offset": 3}, "no effect"),
        ({"kind": "all", "walk": 2}, "no effect"),
    ],
)
def test_settings_without_effect_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        FrameDraw(**words)
