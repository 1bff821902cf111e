"""Keyframe schedules as pure functions."""

from __future__ import annotations

import pytest

from mila.keyframes import (
    AdaptiveSchedule,
    FixedSchedule,
    answering_keyframe,
    offsets,
    threshold_for,
)


def test_fixed_interval() -> None:
    assert [FixedSchedule(3).due(o) for o in (1, 2, 3, 4)] == [False, False, True, True]
    assert FixedSchedule(1).due(1)
    assert not FixedSchedule(3).lost(2, uncertainty=1.0)
    with pytest.raises(ValueError, match="must be 1 or more, got 0"):
        FixedSchedule(0)


def test_adaptive_refreshes_when_lost_and_at_the_latest_after_longest() -> None:
    schedule = AdaptiveSchedule(threshold=0.5, longest=6, shortest=2)

    assert not schedule.due(5)
    assert schedule.due(6)
    assert not schedule.lost(1, 0.9)
    assert schedule.lost(2, 0.9)
    assert not schedule.lost(2, 0.5)
    with pytest.raises(ValueError, match="shortest <= longest"):
        AdaptiveSchedule(threshold=0.5, longest=1, shortest=2)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_threshold_is_passed_by_the_wished_share(share: float) -> None:
    uncertainties = [0.1 * n for n in range(8)]

    threshold = threshold_for(uncertainties, refresh_share=share)

    schedule = AdaptiveSchedule(threshold=threshold, longest=10)
    assert sum(schedule.lost(1, u) for u in uncertainties) == share * 8


@pytest.mark.parametrize("interval, delay", [(1, 0), (5, 0), (5, 2), (5, 5), (3, 1)])
def test_steady_offsets_with_delay(interval: int, delay: int) -> None:
    frames = range(interval + delay, 6 * interval + delay)

    seen = {t - answering_keyframe(t, interval=interval, delay=delay) for t in frames}

    assert seen == set(offsets(interval, delay))
    assert answering_keyframe(0, interval=interval, delay=delay) == 0


def test_swap_happens_delay_frames_after_the_keyframe() -> None:
    answers = [answering_keyframe(t, interval=4, delay=2) for t in range(9)]

    assert answers == [0, 0, 0, 0, 0, 0, 4, 4, 4]


def test_delay_beyond_the_interval_is_refused() -> None:
    with pytest.raises(ValueError, match=r"delay must be in 0..4, the keyframe interval; got 5"):
        answering_keyframe(9, interval=4, delay=5)
