"""Multiply-adds of every path by formula, and amortised: `python -m mila.cost`.

1 MAC = 1. Convolutions and linear layers are counted where they run, on the meta device (no
weights, no memory), with kernel area * inputs * outputs / groups for every output position;
attention and the other propagations by their own formulas, because library counters miss windowed
attention. Normalisation, activations and resizing are not counted. Source: method section 4.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mila.config import ModelSettings, Params
from mila.encoders import Features
from mila.model import Mila
from mila.overrides import Verb
from mila.propagation import PROPAGATIONS

INTERVALS = (1, 2, 3, 5, 10)
_GIGA = 1e9


@dataclass(frozen=True)
class ModelCosts:
    """MACs of one frame on every path, heads included.

    Attributes:
        slow: The slow network on a frame alone.
        fast: The fast network on a frame alone.
        keyframe: The slow network, and what the propagation prepares once per keyframe.
        non_keyframe: Fast encoder, propagation, fusion and heads.
        propagation: Everything between features and Z on a non-keyframe.
        slow_encoder: Part of `slow` and `keyframe`.
        fast_encoder: Part of `fast` and `non_keyframe`.
        heads: Part of every path.
        fusion: Part of `non_keyframe`.
        preparation: Part of `keyframe`.
    """

    slow: int
    fast: int
    keyframe: int
    non_keyframe: int
    propagation: int
    slow_encoder: int
    fast_encoder: int
    heads: int
    fusion: int
    preparation: int

    def amortised(self, interval: int) -> float:
        """MACs of a mean frame at a keyframe interval; interval 1 is the slow network."""
        if interval == 1:
            return float(self.slow)
        return (self.keyframe + (interval - 1) * self.non_keyframe) / interval

    def saving(self, interval: int) -> float:
        """Share of the slow network's MACs that is saved at a keyframe interval."""
        return 1.0 - self.amortised(interval) / self.slow


def frame_costs(model: Mila | ModelSettings, height: int, width: int) -> ModelCosts:
    """Count a model, or what its settings would make, on one image of a size in pixels."""
    settings = model if isinstance(model, ModelSettings) else model.settings
    twin = _on_meta(settings)
    image = torch.empty(1, 3, height, width, device="meta")
    slow_encoder = count_layers(twin.slow.encoder, image)
    fast_encoder = count_layers(twin.fast, image)
    features: Features = twin.fast(image)
    h, w = features.high.shape[-2:]
    heads = sum(count_layers(head.squeeze, features.high) for _, head in twin.slow.heads.rows())
    heads += sum(count_layers(head.body, features.high) for _, head in twin.slow.heads.rows())
    between = twin.propagation.macs(h, w)
    fusion = 0 if twin.propagation.needs_scores else _count_fusions(twin, features)
    preparation = between.keyframe
    if twin.propagation.needs_low:
        preparation += count_layers(twin.fast, image, run=twin.fast.low)
    return ModelCosts(
        slow=slow_encoder + heads,
        fast=fast_encoder + heads,
        keyframe=slow_encoder + heads + preparation,
        non_keyframe=fast_encoder + between.frame + fusion + heads,
        propagation=between.frame,
        slow_encoder=slow_encoder,
        fast_encoder=fast_encoder,
        heads=heads,
        fusion=fusion,
        preparation=preparation,
    )


def count_layers(
    network: nn.Module, *inputs: Tensor | Features, run: Callable[..., object] | None = None
) -> int:
    """MACs of the convolutions and linear layers that run for these inputs, batch of one.

    Args:
        network: Whose layers are counted.
        inputs: Of the call.
        run: What is called, if not the network itself.
    """
    counted: list[int] = []

    def hook(layer: nn.Module, _: Any, output: Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            taps = math.prod(layer.kernel_size) * layer.in_channels // layer.groups
            counted.append(taps * output.numel())
        elif isinstance(layer, nn.ConvTranspose2d):
            raise NotImplementedError("transposed convolutions are not counted")
        elif isinstance(layer, nn.Linear):
            counted.append(layer.in_features * output.numel())

    handles = [layer.register_forward_hook(hook) for layer in network.modules()]
    try:
        with torch.no_grad():
            (run or network)(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return sum(counted)


def _on_meta(settings: ModelSettings) -> Mila:
    sides = {
        side: getattr(settings, side).model_copy(update={"weights": None})
        for side in ("slow", "fast")
    }
    with torch.device("meta"):
        return Mila(settings.model_copy(update=sides)).eval()


def _count_fusions(twin: Mila, features: Features) -> int:
    z = features.high
    hints = z.new_empty(1, twin.propagation.hint_channels, *z.shape[-2:])
    offset = z.new_empty(1)
    return sum(count_layers(f, z, features, hints, offset) for f in twin.fusions.children())


def peer_settings(settings: ModelSettings, kind: str) -> ModelSettings:
    """The same model with another propagation; options of ILA alone fall away."""
    changes: dict[str, Any] = {"kind": kind}
    if kind != "ila":
        changes |= {"task_specific": False, "multi_frame": False}
    propagation = settings.propagation.model_copy(update=changes)
    return settings.model_copy(update={"propagation": propagation})


def cost_table(settings: ModelSettings, height: int, width: int) -> str:
    """Markdown: the model's parts, then every propagation's cost and saving at each interval."""
    own = frame_costs(settings, height, width)
    lines = [f"GMAC of one frame at {height}x{width}, heads included (1 MAC = 1)", ""]
    lines += ["| part | GMAC |", "|---|---|"]
    lines += [f"| {name.replace('_', ' ')} | {value / _GIGA:.4g} |" for name, value in _rows(own)]
    head = "".join(f" K={k} |" for k in INTERVALS)
    lines += ["", f"| propagation | module | keyframe | non-keyframe |{head}"]
    lines += ["|---" * (4 + len(INTERVALS)) + "|"]
    for kind in PROPAGATIONS:
        costs = frame_costs(peer_settings(settings, kind), height, width)
        parts = (costs.propagation, costs.keyframe, costs.non_keyframe)
        cells = [f"{part / _GIGA:.4g}" for part in parts]
        cells += [
            f"{costs.amortised(k) / _GIGA:.4g} ({-100 * costs.saving(k) or 0.0:.1f} %)"
            for k in INTERVALS
        ]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _rows(costs: ModelCosts) -> Sequence[tuple[str, int]]:
    return [(name, int(value)) for name, value in vars(costs).items()]


VERB = Verb(
    name="python -m mila.cost",
    summary="Count the multiply-adds of a model and of every peer; needs no weights and no GPU.",
    example="python -m mila.cost preset=paper height=1024 width=2048",
    arguments={"height": "image rows; default world.height", "width": "columns; world.width"},
    sections=("model",),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""

    def body(params: Params, words: dict[str, str]) -> None:
        height = int(words.get("height", params.world.height))
        width = int(words.get("width", params.world.width))
        sys.stdout.write(cost_table(params.model, height, width))

    return VERB.run(argv, body)


if __name__ == "__main__":
    sys.exit(main())
