"""Ways to bring a keyframe's features to another frame, behind one interface.

`build_propagation` makes the one that the settings name; a comparison is a change of one word.
"""

from __future__ import annotations

from collections.abc import Callable

from mila.config import PropagationSettings
from mila.propagation.concat import Concat
from mila.propagation.copy import Copy
from mila.propagation.flow_warp import ExactFlowWarp, FlowWarp
from mila.propagation.global_attention import GlobalAttention
from mila.propagation.ila import InterFrameLocalAttention
from mila.propagation.interface import (
    FeatureSizes,
    FrameFeatures,
    Propagated,
    Propagation,
    PropagationMacs,
    PropagationMemory,
)
from mila.propagation.lvs import PredictedKernels
from mila.propagation.score_fusion import ScoreFusion

__all__ = [
    "PROPAGATIONS",
    "FeatureSizes",
    "FrameFeatures",
    "Propagated",
    "Propagation",
    "PropagationMacs",
    "PropagationMemory",
    "build_propagation",
]

Builder = Callable[[PropagationSettings, FeatureSizes, bool], Propagation]

PROPAGATIONS: dict[str, Builder] = {
    "ila": lambda settings, sizes, hints: InterFrameLocalAttention(settings, sizes, hints=hints),
    "copy": lambda settings, sizes, hints: Copy(),
    "concat": lambda settings, sizes, hints: Concat(sizes),
    "global": lambda settings, sizes, hints: GlobalAttention(settings, sizes),
    "flow_warp": lambda settings, sizes, hints: FlowWarp(sizes, width=settings.flow_width),
    "exact_flow": lambda settings, sizes, hints: ExactFlowWarp(),
    "score_fusion": lambda settings, sizes, hints: ScoreFusion(sizes, width=settings.flow_width),
    "lvs": lambda settings, sizes, hints: PredictedKernels(sizes, radius=settings.radius),
}
"""Name in the settings -> what makes it, from settings, feature sizes and whether to give hints."""


def build_propagation(
    settings: PropagationSettings, sizes: FeatureSizes, *, hints: bool = True
) -> Propagation:
    """Make the propagation that the settings name.

    Args:
        settings: Kind and options; options of other kinds are not looked at.
        sizes: Sizes of the features it will work on.
        hints: Whether the fusion listens to hints; without them ILA computes none.

    Raises:
        ValueError: If the kind is not in the table.
    """
    if settings.kind not in PROPAGATIONS:
        raise ValueError(
            f"model.propagation.kind must be one of {sorted(PROPAGATIONS)}, got {settings.kind}"
        )
    return PROPAGATIONS[settings.kind](settings, sizes, hints)
