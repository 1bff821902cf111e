from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mila.data.plan import (
    PlanSettings,
    Position,
    batches_per_epoch,
    endless_plan,
    epoch_order,
    plan,
)

MANY = settings(max_examples=2500, deadline=None, derandomize=True)

cases = st.fixed_dictionaries(
    {
        "num_clips": st.integers(1, 40),
        "per_rank": st.integers(1, 5),
        "world_size": st.integers(1, 6),
        "seed": st.integers(0, 2**32 - 1),
        "epoch": st.integers(0, 1000),
        "tail": st.sampled_from(["drop", "wrap"]),
        "shuffle": st.booleans(),
    }
)


def build(case) -> PlanSettings:
    return PlanSettings(
        num_clips=case["num_clips"],
        batch_size=case["per_rank"] * case["world_size"],
        seed=case["seed"],
        tail=case["tail"],
        shuffle=case["shuffle"],
    )


def read_by_all(wanted: PlanSettings, start: Position, world_size: int) -> list[int]:
    """Clips in global order: batch by batch, the ranks' clips put together again."""
    ranks = [list(plan(wanted, start, rank=r, world_size=world_size)) for r in range(world_size)]
    assert len({len(batches) for batches in ranks}) == 1, "ranks differ in batches"
    clips = []
    for batches in zip(*ranks, strict=True):
        assert len({batch.after for batch in batches}) == 1
        assert len({len(batch.clips) for batch in batches}) == 1
        together = [clip for batch in batches for clip in batch.clips]
        clips += [clip.clip for clip in sorted(together, key=lambda clip: clip.place)]
    return clips


@MANY
@given(cases)
def test_every_clip_once_per_epoch(case):
    wanted = build(case)
    if batches_per_epoch(wanted) == 0:
        with pytest.raises(ValueError, match="do not fill one batch"):
            plan(wanted)
        return

    clips = read_by_all(wanted, Position(case["epoch"]), case["world_size"])

    counts = Counter(clips)
    rest = wanted.num_clips % wanted.batch_size
    if wanted.tail == "drop":
        assert len(clips) == wanted.num_clips - rest
        assert set(counts.values()) == {1}
    else:
        assert set(counts) == set(range(wanted.num_clips))
        assert len(clips) == wanted.num_clips + (wanted.batch_size - rest if rest else 0)
        assert max(counts.values()) - min(counts.values()) <= 1
    assert len(clips) == batches_per_epoch(wanted) * wanted.batch_size


@MANY
@given(cases, st.integers(1, 6))
def test_order_does_not_depend_on_the_number_of_ranks(case, ranks_later):
    wanted = build(case)
    if batches_per_epoch(wanted) == 0 or wanted.batch_size % ranks_later:
        return
    start = Position(case["epoch"])

    alone = read_by_all(wanted, start, 1)

    assert read_by_all(wanted, start, case["world_size"]) == alone
    assert read_by_all(wanted, start, ranks_later) == alone


@MANY
@given(cases, st.lists(st.integers(0, 6), max_size=4))
def test_restarts_lose_and_repeat_nothing(case, stops):
    """Stopped after some batches, again and again, with another number of ranks each time."""
    wanted = build(case)
    if batches_per_epoch(wanted) == 0:
        return
    world_sizes = [n for n in range(1, 7) if wanted.batch_size % n == 0]
    total = 3 * batches_per_epoch(wanted)
    start = Position(case["epoch"])
    whole = [b for b in islice(endless_plan(wanted, start), total)]

    parts, position = [], start
    for i, stop in enumerate([*stops, total]):
        world_size = world_sizes[i % len(world_sizes)]
        left = min(stop, total - len(parts))
        ranks = [
            list(islice(endless_plan(wanted, position, rank=r, world_size=world_size), left))
            for r in range(world_size)
        ]
        for batches in zip(*ranks, strict=True):
            together = sorted((c for b in batches for c in b.clips), key=lambda c: c.place)
            parts.append(tuple(together))
            position = batches[0].after

    assert parts == [batch.clips for batch in whole]
    assert position == whole[-1].after


def test_in_ten_thousand_random_epochs_no_clip_is_lost_or_repeated():
    """Each epoch is stopped at random places and goes on with another number of ranks."""
    random = np.random.default_rng(0)
    for case in range(10_000):
        batch = int(random.integers(1, 13))
        tail = ("drop", "wrap")[case % 2]
        wanted = PlanSettings(
            num_clips=int(random.integers(batch, 61)),
            batch_size=batch,
            seed=int(random.integers(2**32)),
            tail=tail,
        )
        epoch = int(random.integers(1000))
        sizes = [n for n in range(1, batch + 1) if batch % n == 0]
        seen: list[int] = []
        position = Position(epoch)
        while position.epoch == epoch:
            world_size, stop = int(random.choice(sizes)), int(random.integers(1, 8))
            ranks = [
                islice(plan(wanted, position, rank=r, world_size=world_size), stop)
                for r in range(world_size)
            ]
            for batches in zip(*ranks, strict=True):
                assert {len(b.clips) for b in batches} == {batch // world_size}
                assert len({b.after for b in batches}) == 1
                seen += [clip.clip for b in batches for clip in b.clips]
                position = batches[0].after

        counts = Counter(seen)
        rest = wanted.num_clips % batch
        assert len(seen) == batches_per_epoch(wanted) * batch
        if tail == "drop" or not rest:
            assert len(counts) == wanted.num_clips - rest, "lost"
            assert set(counts.values()) == {1}, "repeated"
        else:
            again = epoch_order(wanted, epoch)[: batch - rest].tolist()
            assert counts == Counter([*range(wanted.num_clips), *again])


@MANY
@given(cases, st.integers(0, 60))
def test_any_position_gives_the_rest_of_the_order(case, clips):
    wanted = build(case)
    if batches_per_epoch(wanted) == 0:
        return
    order = epoch_order(wanted, case["epoch"])

    got = read_by_all(wanted, Position(case["epoch"], clips), case["world_size"])

    assert got[: wanted.num_clips - clips] == order[clips : clips + len(got)].tolist()
    assert wanted.num_clips - clips - len(got) < wanted.batch_size, "left out more than a tail"


def test_epochs_and_seeds_differ():
    orders = {
        tuple(epoch_order(PlanSettings(num_clips=20, batch_size=1, seed=seed), epoch))
        for seed in range(5)
        for epoch in range(5)
    }

    assert len(orders) == 25


def test_order_is_fixed_for_good():
    """A change here makes every checkpoint of the past go on with other clips."""
    order = epoch_order(PlanSettings(num_clips=8, batch_size=1, seed=3), epoch=2)

    assert order.tolist() == [2, 3, 6, 4, 1, 7, 5, 0]
    assert order.dtype == np.int64


def test_without_shuffling_the_order_is_that_of_the_manifest():
    wanted = PlanSettings(num_clips=5, batch_size=2, shuffle=False, tail="wrap")

    assert [c.clip for b in plan(wanted, Position(7)) for c in b.clips] == [0, 1, 2, 3, 4, 0]


def test_wrapped_clips_have_a_place_of_their_own():
    wanted = PlanSettings(num_clips=3, batch_size=5, tail="wrap")

    (batch,) = plan(wanted)

    assert [clip.place for clip in batch.clips] == [0, 1, 2, 3, 4]


def test_what_cannot_be_shared_is_refused():
    wanted = PlanSettings(num_clips=9, batch_size=4)

    with pytest.raises(ValueError, match="batch size 4 does not divide among 3 ranks"):
        plan(wanted, world_size=3)
    with pytest.raises(ValueError, match="rank 2 of 2"):
        plan(wanted, rank=2, world_size=2)
