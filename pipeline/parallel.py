"""One function over many items on all cores, in order, with visible progress."""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import cv2
from tqdm import tqdm

_LINE_EVERY_S = 10.0

Item = TypeVar("Item")
Result = TypeVar("Result")


def over_all_cores(
    function: Callable[[Item], Result], items: Sequence[Item], *, workers: int = 0, what: str
) -> Iterator[Result]:
    """Call `function` on every item; results come in the order of the items.

    Args:
        function: Picklable; it must not depend on the order of the calls.
        items: What to call it on.
        workers: Processes; 0 takes one per core this process may use, 1 none at all.
        what: Word for an item in the progress display.
    """
    count = min(workers or len(os.sched_getaffinity(0)), max(len(items), 1))
    if count == 1:
        yield from _shown(map(function, items), len(items), what)
        return
    # The processes are as many as the cores. OpenCV's threads must be gone before the fork: in a
    # child they are dead, and the first call that needs them waits for ever.
    cv2.setNumThreads(0)
    with multiprocessing.get_context("fork").Pool(count) as pool:
        yield from _shown(pool.imap(function, items), len(items), what)


def _shown(results: Iterator[Result], total: int, what: str) -> Iterator[Result]:
    """Pass results on; a bar on a terminal, a line every few seconds elsewhere."""
    if sys.stderr.isatty():
        yield from tqdm(results, total=total, unit=what, leave=False)
        return
    began = said = time.monotonic()
    for done, result in enumerate(results, start=1):
        now = time.monotonic()
        if now - said > _LINE_EVERY_S:
            said = now
            left = (now - began) / done * (total - done)
            sys.stderr.write(f"{done}/{total} {what}s, about {left:.0f} s to go\n")
        yield result
