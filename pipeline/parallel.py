"""One function over many items on all cores, in order, with visible progress.

The processes end with the one that started them, however that one ends.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import cv2
from tqdm import tqdm

_LINE_EVERY_S = 10.0
_LOOK_EVERY_S = 0.5
_AHEAD = 4
"""Items per process that are done or waiting: results that nobody has taken yet fill memory."""

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

    Raises:
        ValueError: If a process is killed; and what `function` raises.
    """
    count = min(workers or len(os.sched_getaffinity(0)), max(len(items), 1))
    if count == 1:
        yield from _shown(map(function, items), len(items), what)
        return
    # The processes are as many as the cores. OpenCV's threads must be gone before the fork: in a
    # child they are dead, and the first call that needs them waits for ever.
    cv2.setNumThreads(0)
    fork = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(count, fork, initializer=_start, initargs=(os.getpid(),))
    try:
        results = _in_order(pool, function, items, ahead=_AHEAD * count)
        yield from _shown(results, len(items), what)
    except BrokenProcessPool:
        raise ValueError(
            f"a process was killed at its work, for want of memory perhaps; this was with "
            f"workers={count}, fewer need less"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor,
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    ahead: int,
) -> Iterator[Result]:
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) == ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _start(parent: int) -> None:
    """Leave Ctrl-C to the parent, and end when it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    os._exit(1)


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
