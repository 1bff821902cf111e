"""Which clip is read when and by whom, as a pure function.

The order of an epoch depends on the seed and the epoch alone: not on the number of ranks, loader
workers or restarts. Positions count clips over all ranks: any number of ranks can go on from one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Tail = Literal["drop", "wrap"]


@dataclass(frozen=True, order=True)
class Position:
    """How far training has come in its data; all that a checkpoint needs to go on exactly."""

    epoch: int = 0
    """Passes begun before this one."""
    clips: int = 0
    """Clips of this pass consumed by all ranks together."""


START = Position()


@dataclass(frozen=True)
class PlannedClip:
    """One clip to read."""

    clip: int
    """Index of the clip in the split."""
    epoch: int
    place: int
    """Place in the order of the epoch; with the epoch it seeds every random choice."""


@dataclass(frozen=True)
class PlannedBatch:
    """What one rank reads for one update, and where all ranks stand after it."""

    clips: tuple[PlannedClip, ...]
    after: Position


@dataclass(frozen=True)
class PlanSettings:
    """What the plan is made from, the same on every rank."""

    num_clips: int
    """Clips of the split."""
    batch_size: int
    """Clips of a batch over all ranks."""
    seed: int = 0
    tail: Tail = "drop"
    """What happens to the last clips of an epoch, too few for a batch: `drop` leaves them out,
    `wrap` fills the batch with the first clips of the same epoch."""
    shuffle: bool = True
    """Off: the order of the manifest, in every epoch."""


def plan(
    settings: PlanSettings, start: Position = START, *, rank: int = 0, world_size: int = 1
) -> Iterator[PlannedBatch]:
    """The batches of one rank from a position to the end of its epoch.

    Every rank gets the same number of batches of the same size; rank r takes every world_size-th
    clip of a batch, beginning with the r-th. Batches of all ranks together are those of one rank.

    Args:
        settings: What the plan is made from.
        start: Where to begin. One that lies at or beyond the last whole batch gives no batch.
        rank: Who asks, 0..world_size-1.
        world_size: Ranks that share each batch.

    Returns:
        The batches in order; the last one's `after` is the start of the next epoch.

    Raises:
        ValueError: If the batch does not divide among the ranks, or an epoch holds no batch.
    """
    _check(settings, rank, world_size)
    return _batches(settings, start, rank, world_size)


def endless_plan(
    settings: PlanSettings, start: Position = START, *, rank: int = 0, world_size: int = 1
) -> Iterator[PlannedBatch]:
    """The batches of one rank from a position on, epoch after epoch, without end."""
    _check(settings, rank, world_size)
    while True:
        yield from _batches(settings, start, rank, world_size)
        start = Position(start.epoch + 1)


def batches_per_epoch(settings: PlanSettings) -> int:
    """Batches of a whole epoch, the same for every rank."""
    whole, rest = divmod(settings.num_clips, settings.batch_size)
    return whole + (1 if rest and settings.tail == "wrap" else 0)


def epoch_order(settings: PlanSettings, epoch: int) -> npt.NDArray[np.int64]:
    """The clips of an epoch in the order in which they are read, each once, (num_clips,)."""
    if not settings.shuffle:
        return np.arange(settings.num_clips)
    # Raw Philox numbers, sorted: how numpy shuffles may change, the order must not.
    source = np.random.Philox(np.random.SeedSequence([settings.seed, epoch]))
    return np.argsort(source.random_raw(settings.num_clips), kind="stable")


def _batches(
    settings: PlanSettings, start: Position, rank: int, world_size: int
) -> Iterator[PlannedBatch]:
    order = epoch_order(settings, start.epoch)
    clips, size = settings.num_clips, settings.batch_size
    done = start.clips
    while done < clips and (done + size <= clips or settings.tail == "wrap"):
        places = range(done + rank, done + size, world_size)
        done += size
        ends = done >= clips or (done + size > clips and settings.tail == "drop")
        after = Position(start.epoch + 1) if ends else Position(start.epoch, done)
        chosen = (PlannedClip(int(order[p % clips]), start.epoch, p) for p in places)
        yield PlannedBatch(tuple(chosen), after)


def _check(settings: PlanSettings, rank: int, world_size: int) -> None:
    if not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} of {world_size} ranks")
    if settings.batch_size < 1 or settings.batch_size % world_size:
        raise ValueError(
            f"batch size {settings.batch_size} does not divide among {world_size} ranks"
        )
    if batches_per_epoch(settings) == 0:
        raise ValueError(
            f"{settings.num_clips} clips do not fill one batch of {settings.batch_size}; "
            "make the batch smaller or set data.tail=wrap"
        )
