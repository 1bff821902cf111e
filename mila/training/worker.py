"""work: what one training process does, under Ray and in a plain process alike."""

from __future__ import annotations

import torch

from mila.config import Params
from mila.export import load_weights
from mila.training.context import Context
from mila.training.loop import fit
from mila.training.source import ShardSource
from mila.training.state import TrainState
from mila.training.update import Hardware
from mila.training.validation import Validation


def work(context: Context, params: Params, *, identity: str = "") -> TrainState:
    """Train until done or told to stop.

    Args:
        context: Rank, device, checkpoints.
        params: All settings; data.root is an absolute path or s3:// prefix.
        identity: Bound to every checkpoint; another one is refused.
    """
    torch.set_num_threads(max(1, int(params.cluster.cpus_per_worker)))
    state = TrainState(params, device=context.device, identity=identity)
    if not context.restore(state) and params.train.start_from:
        load_weights(state.model, params.train.start_from)
    hardware = Hardware(
        device=context.device,
        autocast=choose_precision(params.train.precision, context.device),
        world_size=context.world_size,
        clip_gradient=params.train.clip_gradient,
    )
    source = ShardSource(params, rank=context.rank, world_size=context.world_size)
    validate = Validation(params, hardware)
    for report in fit(state, source, hardware=hardware, validate=validate):
        context.commit(report, state)
        if context.stopping():
            break
    return state


def choose_precision(name: str, device: torch.device) -> torch.dtype | None:
    """The autocast type, None = float32; `auto` takes bfloat16 where the hardware has it."""
    if name == "float32":
        return None
    if name == "bfloat16":
        return torch.bfloat16
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else None
    return torch.bfloat16 if _cpu_has_bfloat16() else None


def _cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 natively; emulated, it is slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported())
