"""Training clips from shards, drawn as each stage wants them."""

from __future__ import annotations

from collections.abc import Iterator

from mila.clip import Clip
from mila.config import Params
from mila.data.draws import FrameDraw
from mila.data.plan import Position
from mila.data.source import open_source, training_loader
from mila.training.stages import Stage


class ShardSource:
    """The training split of `data.root`, this rank's share."""

    def __init__(self, params: Params, *, rank: int, world_size: int) -> None:
        """Read the manifest.

        Raises:
            ValueError: If there is none.
        """
        self._params = params
        self._rank = rank
        self._world_size = world_size
        self._source = open_source(params.data, label_set=params.model.label_set)

    def stream(self, stage: Stage, start: Position) -> Iterator[tuple[Clip, Position]]:
        """Batches from a global position on, without end."""
        loader = training_loader(
            self._source,
            self._params.data,
            self._draw(stage),
            self._params.model.tasks,
            batch_size=stage.settings.batch_size,
            seed=stage.seed,
            flow=stage.is_joint and self._params.model.propagation.needs_flow,
        )
        return loader.stream(start, rank=self._rank, world_size=self._world_size)

    def _draw(self, stage: Stage) -> FrameDraw:
        if not stage.is_joint:
            return FrameDraw("single")
        return FrameDraw(
            "offset",
            max_offset=self._params.train.max_offset,
            walk=self._params.joint_walk,
        )
