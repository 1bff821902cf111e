"""Street clips for the GPU benchmark: as many as can be rendered in a given time, as shards."""

from __future__ import annotations

import io
import multiprocessing
import os
import tarfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import cv2
import measuring

from mila.data.sample import Split, encode_clip
from mila.data.shards import PackedClip, pack_clip, write_shards
from pipeline.world.clip import render_sample

FPS = 17.0


@dataclass(frozen=True)
class World:
    """What is rendered.

    Attributes:
        height: Pixels.
        width: Pixels.
        frames: Of a clip.
        clips: Most clips of each split; test and val come first.
        least: Training clips that are rendered whatever time they take.
        seconds: After which no more training clip is begun.
    """

    height: int
    width: int
    frames: int
    clips: dict[str, int]
    least: int
    seconds: float


@dataclass(frozen=True)
class Job:
    """One clip to render."""

    world: World
    split: Split
    index: int


def render_shards(world: World, folder: Path) -> dict[str, int]:
    """Render on all cores and write shards; gives the number of clips of each split."""
    order: tuple[Split, ...] = ("test", "val", "train")
    jobs = [Job(world, split, index) for split in order for index in range(world.clips[split])]
    packed = sorted(_rendered(jobs, world), key=lambda clip: clip.row.key)
    write_shards(folder, packed)
    return {split: sum(c.row.split == split for c in packed) for split in world.clips}


def _rendered(jobs: Sequence[Job], world: World) -> Iterator[PackedClip]:
    """Clips as they are finished; a training clip is begun only while there is time."""
    cores = os.cpu_count() or 1
    needed = len(jobs) - world.clips["train"] + world.least
    deadline = time.monotonic() + world.seconds
    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    done = 0
    with ProcessPoolExecutor(cores, mp_context=context) as pool:
        queue = iter(enumerate(jobs))
        running: set[Future[PackedClip]] = set()
        while True:
            while len(running) < 2 * cores and (entry := next(queue, None)) is not None:
                number, job = entry
                if number >= needed and time.monotonic() > deadline:
                    queue = iter(())
                    break
                running.add(pool.submit(_render, job))
            if not running:
                return
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                done += 1
                if done % 50 == 0:
                    measuring.say(f"rendered {done} of {len(jobs)} clips")
                yield future.result()


def _render(job: Job) -> PackedClip:
    cv2.setNumThreads(1)
    world = job.world
    clip = render_sample(
        seed=0,
        split=job.split,
        index=job.index,
        frames=world.frames,
        height=world.height,
        width=world.width,
        fps=FPS,
    )
    return pack_clip(_tar(clip.key, encode_clip(clip)))


def _tar(key: str, fields: dict[str, bytes]) -> bytes:
    """A clip's tar by the standard library: the machine need not have webdataset."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in sorted(fields.items()):
            member = tarfile.TarInfo(f"{key}.{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()
