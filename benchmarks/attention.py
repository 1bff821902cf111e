"""Inter-frame local attention: time, memory and error of every form, beside its floor.

    python benchmarks/attention.py                      all cases, about 3 minutes
    python benchmarks/attention.py cases=demo rounds=9 threads=1 table=false
    python benchmarks/attention.py cases=tiny           seconds; what the tests run

A case is `forward` or `fwd+bwd` over B maps of H x W with d channels of query and key, V of value,
window radius r. Inputs are fresh and random in every round, caches cold. Errors are relative norms
against the definition in float64 on a ragged map of the same d, V and r, with uninitialised memory
filled with NaN. A wrong result prints no time and fails the run; a missed aim does with
strict=true. Floor: exact pairs inside the map over the rate of a matrix product of the same run.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))
import measuring

from mila.attention import count_pairs
from mila.attention.reference import attend_by_definition
from mila.attention.tiled import attend_tiles

FORMS: dict[str, Callable[..., Tensor]] = {"tiled": attend_tiles, "unfold": attend_by_definition}
BASELINE = "unfold"
MOST_WINDOWS_MIB = 1536
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
ERRORS = {"float32": (1e-6, 2e-6), "bfloat16": (1e-2, 3e-2)}
COLUMNS = (
    *("case", "design", "x_floor", "x_baseline", "aim", "ok", "median_ms", "min_ms", "p95_ms"),
    *("floor_ms", "floor_kind", "extra_mib", "x_io", "error_fwd", "error_grad", "load1"),
)
DEFAULTS = {
    **{"cases": "all", "rounds": "9", "threads": "1", "memory": "true"},
    **{"strict": "false", "table": "true", "only": ""},
}


@dataclass(frozen=True)
class Case:
    """One size of the operation.

    Attributes:
        aims: Largest ratio to the floor, smallest gain over unfold; None = no aim.
    """

    group: str
    backward: bool
    sizes: tuple[int, int, int, int, int, int]
    dtype: str = "float32"
    aims: tuple[float | None, float | None] = (None, None)

    @property
    def name(self) -> str:
        b, h, w, d, v, r = self.sizes
        kind = "fwd+bwd" if self.backward else "fwd"
        return f"{kind} {b}x{h}x{w} d{d} V{v} r{r} {self.dtype}"

    def flop(self) -> int:
        """Exact work: two per multiply-add; backward recomputes the scores."""
        b, h, w, d, v, r = self.sizes
        pairs = b * count_pairs(h, w, r)
        return 2 * pairs * (d + v) + (2 * pairs * (3 * d + 2 * v) if self.backward else 0)

    def io_bytes(self) -> int:
        """Query, key, value and result once; backward reads and writes them again as gradients."""
        b, h, w, d, v, _ = self.sizes
        channels = 2 * d + 2 * v + (4 * d + 4 * v if self.backward else 0)
        return DTYPES[self.dtype].itemsize * b * h * w * channels

    def result_bytes(self) -> int:
        """Query, key, value and result."""
        b, h, w, d, v, _ = self.sizes
        return DTYPES[self.dtype].itemsize * b * h * w * (2 * d + 2 * v)

    def designs(self) -> list[str]:
        """Forms that are timed; unfold only while its copied windows fit a small machine."""
        b, h, w, d, v, r = self.sizes
        windows = 4 * b * h * w * (2 * r + 1) ** 2 * (d + v) / 2**20
        unfold = self.dtype == "float32" and windows < MOST_WINDOWS_MIB
        return [name for name in FORMS if name != BASELINE or unfold]


CASES = (
    Case("tiny", True, (2, 6, 9, 16, 16, 2)),
    Case("demo", False, (1, 24, 48, 16, 64, 4), aims=(15, 15)),
    Case("demo", False, (8, 24, 48, 16, 64, 4), aims=(8, 20)),
    Case("demo", True, (8, 24, 48, 16, 64, 4), aims=(8, 20)),
    Case("small", False, (1, 32, 64, 32, 64, 3), aims=(15, None)),
    Case("small", True, (1, 32, 64, 32, 64, 3)),
    Case("window", False, (1, 64, 128, 64, 256, 5), aims=(6.5, 45)),
    Case("paper", True, (1, 64, 128, 64, 256, 5), aims=(8, 50)),
    Case("paper", False, (1, 64, 128, 64, 256, 10), aims=(4, None)),
    Case("paper", True, (1, 64, 128, 64, 256, 10), aims=(5, None)),
    Case("half", False, (1, 64, 128, 64, 256, 5), "bfloat16"),
)


def inputs(case: Case, seed: int, device: str) -> list[Tensor]:
    """Query, key and value drawn anew, channels last as encoders give them."""
    b, h, w, d, v, _ = case.sizes
    generator = torch.Generator().manual_seed(seed)
    maps = [torch.randn(b, h, w, c, generator=generator) for c in (d, d, v)]
    maps = [m.to(device, DTYPES[case.dtype]).permute(0, 3, 1, 2) for m in maps]
    return [maps[0], maps[1].unsqueeze(1), maps[2].unsqueeze(1)]


def call(form: str, case: Case, seed: int, device: str) -> measuring.Call:
    """One call of a form on fresh inputs."""
    maps, radius = inputs(case, seed, device), case.sizes[-1]
    if not case.backward:

        def forward() -> None:
            with torch.no_grad():
                FORMS[form](*maps, radius=radius)

        return forward
    grad = inputs(case, seed + 10**6, device)[2][:, 0]
    maps = [m.requires_grad_() for m in maps]
    return lambda: FORMS[form](*maps, radius=radius).backward(grad)


def errors(form: str, case: Case, device: str) -> tuple[float, float]:
    """Relative errors of result and worst gradient, on a ragged map with poisoned memory."""
    b, h, w, d, v, r = case.sizes
    small = Case("", True, (min(b, 2), min(h, 2 * r + 7), min(w, 2 * r + 13), d, v, r), case.dtype)
    maps = [m.requires_grad_() for m in inputs(small, 1, device)]
    exact = [m.detach().double().requires_grad_() for m in maps]
    grad = inputs(small, 2, device)[2][:, 0]
    torch.use_deterministic_algorithms(True)  # fills uninitialised memory with NaN
    try:
        out = FORMS[form](*maps, radius=r)
        out.backward(grad)
    finally:
        torch.use_deterministic_algorithms(False)
    expected = attend_by_definition(*exact, radius=r)
    expected.backward(grad.double())
    pairs = [(m.grad, e.grad) for m, e in zip(maps, exact, strict=True)]
    return _relative(out, expected), max(_relative(a, b) for a, b in pairs)


def _relative(got: Tensor | None, want: Tensor | None) -> float:
    assert got is not None
    assert want is not None
    return ((got.double() - want).norm() / want.norm()).item()


def agree_at_size(case: Case, device: str) -> float:
    """Relative difference of the forms on the very size that is timed."""
    maps, radius = inputs(case, 3, device), case.sizes[-1]
    with torch.no_grad():
        results = [form(*maps, radius=radius).double() for form in FORMS.values()]
    return _relative(results[0], results[1])


def extra_mib(form: str, case: Case, threads: int) -> float | None:
    """Extra peak memory, in a process of its own; None where it cannot be measured."""
    words = [f"only={form}:{CASES.index(case)}", f"threads={threads}"]
    done = subprocess.run(
        [sys.executable, __file__, *words], capture_output=True, text=True, check=False
    )
    return round(float(done.stdout), 1) if done.returncode == 0 else None


def check(case: Case, device: str) -> dict[str, tuple[float, float]]:
    """Errors of every form; ends the program if one of ours is wrong."""
    wrong = {name: errors(name, case, device) for name in case.designs()}
    limits = ERRORS[case.dtype]
    for name, (forward, gradient) in wrong.items():
        if forward > limits[0] or gradient > limits[1]:
            raise SystemExit(f"{case.name}: {name} is wrong by {wrong[name]}, allowed {limits}")
    if BASELINE in wrong and agree_at_size(case, device) > 1e-5:
        raise SystemExit(f"{case.name}: the forms disagree")
    return wrong


def judge(case: Case, ratio: float, gain: float | None) -> dict[str, object]:
    """The aims of a case and whether they are met; no aim is always met."""
    most, least = case.aims
    aims, met = [], []
    if most is not None:
        aims.append(f"x_floor<={most}")
        met.append(ratio <= most)
    if least is not None and gain is not None:
        aims.append(f"x_baseline>={least}")
        met.append(gain >= least)
    return {"aim": " and ".join(aims) or None, "ok": all(met)}


def measure(case: Case, values: dict[str, str], device: str) -> list[dict[str, object]]:
    """All lines of a case."""
    threads = int(values["threads"])
    wrong = check(case, device)
    rates = measuring.measure_rates(DTYPES[case.dtype], device, threads)
    floor, kind = rates.floor_ms(flop=case.flop(), moved_bytes=case.io_bytes())
    timings = measuring.interleave(
        {n: lambda i, n=n: call(n, case, i + 10, device) for n in wrong},
        rounds=int(values["rounds"]),
        slow_rounds=2,
        threads=threads,
    )
    base = timings[BASELINE].line()["median_ms"] if BASELINE in timings else None
    lines: list[dict[str, object]] = []
    for name, timing in timings.items():
        times = timing.line()
        ratio = times["median_ms"] / floor
        gain = base and base / times["median_ms"]
        extra = extra_mib(name, case, threads) if values["memory"] == "true" else None
        lines.append(
            {
                **{"bench": "attention", "case": case.name, "design": name},
                **{"x_floor": round(ratio, 2), "x_baseline": gain and round(gain, 1)},
                **{"baseline": BASELINE},
                **(judge(case, ratio, gain) if name != BASELINE else {"aim": None, "ok": True}),
                **{**times, "cache": "cold", "floor_ms": round(floor, 3), "floor_kind": kind},
                **{"gemm_gflops": round(rates.gemm_gflops, 1)},
                **{"copy_gbs": round(rates.copy_gbs, 1), "extra_mib": extra},
                **{"x_io": extra and round(extra * 2**20 / case.result_bytes(), 2)},
                **{"error_fwd": wrong[name][0], "error_grad": wrong[name][1]},
                **measuring.circumstances(threads),
            }
        )
    return lines


def main(argv: list[str]) -> int:
    """Run the cases that the words name."""
    if argv in (["help"], ["--help"], ["-h"]):
        measuring.say(__doc__ or "")
        return 0
    values = measuring.words(DEFAULTS, argv)
    torch.set_num_threads(int(values["threads"]))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if values["only"]:
        form, index = values["only"].split(":")
        call(form, CASES[0], 0, device)()  # code paths are warm, only the case's own memory counts
        print(measuring.extra_peak_mib(call(form, CASES[int(index)], 0, device)))
        return 0
    groups = {c.group for c in CASES} - {"tiny"} if values["cases"] == "all" else {values["cases"]}
    lines: list[dict[str, object]] = []
    for case in (c for c in CASES if c.group in groups):
        measuring.say(case.name)
        for line in measure(case, values, device):
            measuring.emit(line)
            lines.append(line)
    return measuring.finish("attention", lines, COLUMNS, values)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
