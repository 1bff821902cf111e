"""Milliseconds of the paper presets: slow network, keyframe, non-keyframe, attention alone."""

from __future__ import annotations

import statistics
from typing import Any

import measuring
import torch

from mila.attention import inter_frame_local_attention
from mila.cost import frame_costs
from mila.encoders import normalise
from mila.model import Mila, build_model
from mila.overrides import load_params
from mila.propagation import FrameFeatures

_WARM_UP = 3


def time_preset(name: str, *, device: str, rounds: int, shrink: int) -> dict[str, Any]:
    """Time one preset at batch 1 in bfloat16, all parts in turns, fresh images each round.

    Args:
        name: Preset of params/.
        device: cuda or cpu.
        rounds: Rounds after warming up.
        shrink: Divides height and width, to try the code.
    """
    params = load_params([f"preset={name}"])
    size = (params.world.height // shrink // 32 * 32, params.world.width // shrink // 32 * 32)
    model = build_model(params.model).to(device).eval()
    times: dict[str, list[float]] = {}
    with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16):
        for index in range(_WARM_UP + rounds):
            for part, call in _calls(model, size, device).items():
                milliseconds = measuring.milliseconds(call, threads=1)
                if index >= _WARM_UP:
                    times.setdefault(part, []).append(milliseconds)
    costs = frame_costs(params.model, *size)
    medians = {f"{part}_ms": statistics.median(values) for part, values in times.items()}
    slow, non = medians["slow_ms"], medians["non_keyframe_ms"]
    gains = {f"gain_k{k}": slow * k / (medians["keyframe_ms"] + (k - 1) * non) for k in (5, 10)}
    return {
        "preset": name,
        "height": size[0],
        "width": size[1],
        "rounds": rounds,
        **medians,
        **gains,
        "saved_k5": costs.saving(5),
        "saved_k10": costs.saving(10),
        "propagation_gmac": costs.propagation / 1e9,
    }


def _calls(model: Mila, size: tuple[int, int], device: str) -> dict[str, measuring.Call]:
    """What is timed, on fresh input."""
    key, now = (
        torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8, device=device) for _ in range(2)
    )
    memory = model.step(key, None)[1]
    settings = model.settings
    grid = tuple(side // settings.feature_stride for side in size)
    maps = [
        torch.randn(1, settings.channels, *grid, device=device)
        .bfloat16()
        .contiguous(memory_format=torch.channels_last)
        for _ in model.tasks
    ]
    low = model.fast.low(normalise(now))
    current = FrameFeatures(now, tuple(maps), low, offset=memory.offset + 1)
    own = torch.randn(1, settings.propagation.key_channels, *grid, device=device).bfloat16()
    return {
        "slow": lambda: model.slow_predictions(now),
        "keyframe": lambda: model.step(now, None),
        "non_keyframe": lambda: model.step(now, memory),
        "propagation": lambda: model.propagation.step(memory.propagation, current),
        "attention": lambda: inter_frame_local_attention(
            own, own[:, None], maps[0][:, None], radius=settings.propagation.radius
        ),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """A short Markdown table."""
    head = "| preset | size | slow ms | key ms | non-key ms | ILA ms | one attention ms "
    head += "| gain K = 5 | gain K = 10 | GMAC saved K = 5 | K = 10 |"
    lines = [head, "|" + "---|" * 11]
    for row in rows:
        cells = [row["preset"], f"{row['height']}x{row['width']}"]
        parts = ("slow", "keyframe", "non_keyframe", "propagation", "attention")
        cells += [f"{row[f'{part}_ms']:.2f}" for part in parts]
        cells += [f"{row['gain_k5']:.2f}x", f"{row['gain_k10']:.2f}x"]
        cells += [f"{100 * row['saved_k5']:.1f} %", f"{100 * row['saved_k10']:.1f} %"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
