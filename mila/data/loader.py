"""From plan and shards to batches of clips, in this process or in loader processes.

B clips, T frames, H rows, W columns. Every random choice is seeded by (seed, epoch, place in the
epoch's order) alone: batches do not depend on loader processes, ranks or restarts.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from mila.clip import Clip
from mila.data.collate import LoadedClip, collate
from mila.data.draws import FrameDraw, draw_frames
from mila.data.flow_chain import flow_between_drawn
from mila.data.handover import LoadedBatch
from mila.data.manifest import ClipRow, Manifest
from mila.data.plan import (
    START,
    PlannedBatch,
    PlannedClip,
    PlanSettings,
    Position,
    Tail,
    endless_plan,
    plan,
)
from mila.data.sample import Split, decode_clip
from mila.data.shards import ClipReader
from mila.data.stills import still_to_clip
from mila.data.transforms import Augmentation, augment

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoaderSettings:
    """What a loader gives, and how it works."""

    split: Split
    draw: FrameDraw
    tasks: tuple[str, ...]
    """Tasks whose labels are decoded; a clip without any of them is left out."""
    batch_size: int
    """Clips of a batch over all ranks."""
    seed: int = 0
    tail: Tail = "drop"
    shuffle: bool = True
    augmentation: Augmentation | None = None
    """None: frames as they are stored."""
    clips_from_stills: bool = False
    """Make clips of single frames; without effect, and so refused, unless draw is offset."""
    flow: bool = False
    """Optical flow too: of every frame to the one drawn before it."""
    workers: int = 0
    """Loader processes; 0 loads in the calling process."""
    timeout_s: float = 600.0
    """Longest wait for a loader process."""


class ClipLoader:
    """Batches of clips of one split, from any position on.

    With `workers` > 0 the loader processes start at the first batch and stay for later epochs.
    """

    def __init__(self, manifest: Manifest, reader: ClipReader, settings: LoaderSettings) -> None:
        """Choose the clips.

        Args:
            manifest: All clips of the data set.
            reader: Reads them.
            settings: What to give.

        Raises:
            ValueError: If the split has no clip that the settings can use.
        """
        self.settings = settings
        self.rows = _usable_rows(manifest, settings)
        """The clips that are read, in the order of the manifest."""
        self._planned = _Planned()
        workers = settings.workers
        self._loader: DataLoader[LoadedBatch | _Failure] = DataLoader(
            _BatchDataset(reader, self.rows, settings),
            batch_size=None,
            sampler=self._planned,
            num_workers=workers,
            collate_fn=_unchanged,
            timeout=settings.timeout_s if workers else 0,
            worker_init_fn=_start_worker,
            persistent_workers=workers > 0,
            # Starting to iterate draws from a generator; it must not be the run's own.
            generator=torch.Generator(),
        )

    @property
    def plan_settings(self) -> PlanSettings:
        """What the order is made from."""
        return PlanSettings(
            num_clips=len(self.rows),
            batch_size=self.settings.batch_size,
            seed=self.settings.seed,
            tail=self.settings.tail,
            shuffle=self.settings.shuffle,
        )

    def epoch(
        self, start: Position = START, *, rank: int = 0, world_size: int = 1
    ) -> Iterator[tuple[Clip, Position]]:
        """This rank's batches of the rest of an epoch, each with the position after it.

        Raises:
            ValueError: For data that is missing or altered, naming shard and clip; if the batch
                does not divide among the ranks; if a loader process gives nothing in time.
        """
        return self._run(plan(self.plan_settings, start, rank=rank, world_size=world_size))

    def stream(
        self, start: Position = START, *, rank: int = 0, world_size: int = 1
    ) -> Iterator[tuple[Clip, Position]]:
        """As `epoch`, then the epochs after it, without end and without a pause between them."""
        return self._run(endless_plan(self.plan_settings, start, rank=rank, world_size=world_size))

    def __len__(self) -> int:
        """Clips of the split that are read."""
        return len(self.rows)

    def _run(self, planned: Iterator[PlannedBatch]) -> Iterator[tuple[Clip, Position]]:
        self._planned.batches = planned
        if self.settings.workers:
            # OpenCV's threads must be gone before loader processes are forked: there they are dead,
            # and the first call that needs them waits for ever.
            cv2.setNumThreads(0)
        batches = iter(self._loader)
        while True:
            try:
                loaded = next(batches)
            except StopIteration:
                return
            except RuntimeError as error:  # torch's word for a dead or silent loader process
                raise ValueError(f"a loader process failed: {error}") from error
            if isinstance(loaded, _Failure):
                raise ValueError(loaded.message)
            yield loaded.clip, loaded.after


@dataclass(frozen=True)
class _Failure:
    """What went wrong in a loader process; an exception would arrive wrapped in a traceback."""

    message: str


class _Planned:
    """The batches to load next: a sampler whose content changes from epoch to epoch."""

    def __init__(self) -> None:
        self.batches: Iterable[PlannedBatch] = ()

    def __iter__(self) -> Iterator[PlannedBatch]:
        return iter(self.batches)


class _BatchDataset(Dataset[LoadedBatch | _Failure]):
    """Loads one planned batch."""

    def __init__(
        self, reader: ClipReader, rows: Sequence[ClipRow], settings: LoaderSettings
    ) -> None:
        self._reader = reader
        self._rows = rows
        self._settings = settings

    def __getitem__(self, batch: PlannedBatch) -> LoadedBatch | _Failure:
        try:
            samples = [self._load(planned) for planned in batch.clips]
            return LoadedBatch(
                collate(samples, self._settings.tasks, flow=self._settings.flow), batch.after
            )
        except ValueError as error:
            return _Failure(str(error))

    def _load(self, planned: PlannedClip) -> LoadedClip:
        """One clip, with all random changes."""
        settings, row = self._settings, self._rows[planned.clip]
        fields = self._reader.read(row)
        random = _generator(settings.seed, planned)
        decodes_flow = settings.flow and settings.draw.kind != "offset"
        want = [*settings.tasks, "flow"] if decodes_flow else settings.tasks
        if settings.clips_from_stills and row.frames == 1:
            offset = int(random.integers(1, settings.draw.max_offset + 1))
            ages = settings.draw.ages(offset)
            clip = decode_clip(fields, key=row.key, want=want)
            clip = still_to_clip(clip, ages, random, reach=settings.draw.max_offset)
            numbers = [row.start - age for age in ages]
        else:
            labelled = row.labelled(settings.tasks)
            frames = draw_frames(settings.draw, row.frames, labelled, random)
            clip = decode_clip(fields, key=row.key, frames=frames, want=want)
            if settings.flow and settings.draw.kind == "offset":
                flow = flow_between_drawn(fields, frames, key=row.key)
                clip = replace(clip, flow=flow)
            numbers = [row.start + frame for frame in frames]
        if settings.augmentation is not None:
            clip = augment(clip, settings.augmentation, random)
        return LoadedClip(clip, tuple(numbers))


def _usable_rows(manifest: Manifest, settings: LoaderSettings) -> tuple[ClipRow, ...]:
    """The clips of the split that can give what is drawn; says how many cannot."""
    rows = manifest.split(settings.split)
    if not rows:
        raise ValueError(f"split {settings.split} has no clips")
    if settings.clips_from_stills and not any(row.frames == 1 for row in rows):
        raise ValueError("data.clips_from_stills has no effect: no clip is a single frame")
    usable = tuple(row for row in rows if _is_usable(row, settings))
    if not usable:
        later = " with a frame before it; see data.clips_from_stills"
        raise ValueError(
            f"no clip of split {settings.split} has a label for {' or '.join(settings.tasks)}"
            + (later if settings.draw.kind == "offset" else "")
        )
    if len(usable) < len(rows):
        unused = len(rows) - len(usable)
        _LOG.warning("split %s: %d of %d clips unused", settings.split, unused, len(rows))
    return usable


def _is_usable(row: ClipRow, settings: LoaderSettings) -> bool:
    labelled = row.labelled(settings.tasks)
    is_moved_still = settings.clips_from_stills and row.frames == 1
    return bool(labelled) and (is_moved_still or labelled[-1] >= settings.draw.earliest)


def _generator(seed: int, planned: PlannedClip) -> np.random.Generator:
    sequence = np.random.SeedSequence([seed, planned.epoch, planned.place])
    return np.random.Generator(np.random.Philox(sequence))


def _unchanged(batch: Any) -> Any:
    return batch


def _start_worker(worker: int) -> None:
    """One torch thread: the loader processes together are as many as there are cores to use."""
    torch.set_num_threads(1)
