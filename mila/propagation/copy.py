"""Copy: take the keyframe's features as they are.

The baseline that costs nothing, and what attention with radius 0 and identity values does.
"""

from __future__ import annotations

from mila.propagation.interface import (
    FrameFeatures,
    Propagated,
    Propagation,
    PropagationMacs,
    PropagationMemory,
    no_hints,
)


class Copy(Propagation):
    """Z = X_k."""

    def step(
        self, memory: PropagationMemory, current: FrameFeatures, *, diagnose: bool = False
    ) -> Propagated:
        """Give the keyframe's features."""
        del current, diagnose
        return Propagated(memory.key.maps, no_hints(memory.key.maps[0]))

    def macs(self, height: int, width: int) -> PropagationMacs:
        """Nothing is computed."""
        del height, width
        return PropagationMacs(keyframe=0, frame=0)
