"""What a direction of Muon costs: iterations collected at the Gram matrix's size, or one by one.

    python benchmarks/muon.py                     kernels of the demo's slow network, seconds
    python benchmarks/muon.py cases=tiny          what the tests run

Random kernels as matrices of output channels x (input channels x kernel size), float32.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))
import measuring
import torch
from torch import Tensor

from flows.cluster import restart_with_environment
from mila.training.muon import orthogonalised

ROUNDS = 15
BASELINE = "one by one"
CASES = {"192x1728": (192, 1728), "128x1152": (128, 1152), "64x576": (64, 576), "64x64": (64, 64)}
TINY = {"tiny": (8, 72)}
COLUMNS = (
    *("case", "design", "x_baseline", "baseline", "aim", "ok", "difference"),
    *("median_ms", "min_ms", "p95_ms", "rounds", "load1"),
)


def main(argv: Sequence[str]) -> int:
    """Time both designs for every kernel."""
    if list(argv) in (["help"], ["--help"], ["-h"]):
        measuring.say(__doc__ or "")
        return 0
    values = measuring.words({"cases": "all", "strict": "false", "table": "true"}, argv)
    torch.set_num_threads(1)
    lines = []
    for name, shape in measuring.chosen(values["cases"], CASES, TINY).items():
        measuring.say(name)
        lines += _lines(name, shape)
    for line in lines:
        measuring.emit(line)
    return measuring.finish("muon", lines, COLUMNS, values)


def one_by_one(matrix: Tensor) -> Tensor:
    """The iterations as they are published, no more rows than columns."""
    x = matrix / matrix.norm()
    for _ in range(5):
        gram = x @ x.T
        x = torch.addmm(
            x, torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445
        )
    return x


def _lines(name: str, shape: tuple[int, int]) -> list[dict[str, object]]:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    designs = {BASELINE: one_by_one, "collected": orthogonalised}
    calls = {design: _calls(function, matrix) for design, function in designs.items()}
    times = measuring.interleave(calls, rounds=ROUNDS, slow_rounds=ROUNDS, threads=1)
    exact = one_by_one(matrix.double())
    medians = {design: timing.line()["median_ms"] for design, timing in times.items()}
    return [
        {
            **{"bench": "muon", "case": name, "design": design},
            "x_baseline": round(medians[BASELINE] / medians[design], 2),
            **{"baseline": BASELINE, "aim": None, "ok": True},
            "difference": float((designs[design](matrix) - exact).norm() / exact.norm()),
            **timing.line(),
            **measuring.circumstances(1),
        }
        for design, timing in times.items()
    ]


def _calls(function: Callable[[Tensor], Tensor], matrix: Tensor) -> Callable[[int], measuring.Call]:
    """What makes the call of a round."""
    return lambda _: lambda: function(matrix)


if __name__ == "__main__":
    restart_with_environment()
    sys.exit(main(sys.argv[1:]))
