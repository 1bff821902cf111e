"""Words from a run's controller to the person at its driver: an actor beside the driver holds them.

Workers and controller write to logs of their own, on other hosts; what a person should know at once
is left here and shown between the lines of progress.
"""

from __future__ import annotations

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

_PATIENCE_S = 5.0


class Notices:
    """A board; may be pickled to the controller. Words that are lost stop nothing."""

    def __init__(self) -> None:
        """Put it up on this process's node; it goes with this process."""
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        board = ray.remote(_Board).options(num_cpus=0, scheduling_strategy=here)
        self._board = board.remote()

    def tell(self, text: str) -> None:
        """Leave words, without waiting."""
        self._board.add.remote(text)

    def fetch(self) -> list[str]:
        """What was left since the last time."""
        try:
            found: list[str] = ray.get(self._board.take.remote(), timeout=_PATIENCE_S)
        except RayError:  # the board is gone, or busy: nobody waits for it
            return []
        return found


class _Board:
    def __init__(self) -> None:
        self._texts: list[str] = []

    def add(self, text: str) -> None:
        self._texts.append(text)

    def take(self) -> list[str]:
        texts, self._texts = self._texts, []
        return texts
