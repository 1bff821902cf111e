"""The GPU form: its forward on a CPU, and that nothing is sent to it that it cannot answer."""

import subprocess
import sys

import pytest
import torch

from mila.attention.flex import attend_flex, flex_serves
from mila.attention.reference import attend_by_definition


@pytest.mark.slow
@pytest.mark.parametrize(
    "height, width, radius, frames", [(19, 30, 3, 1), (16, 24, 9, 2), (5, 6, 2, 1)]
)
def test_forward_matches_the_definition(height: int, width: int, radius: int, frames: int) -> None:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2, 16, height, width, generator=generator)
    key = torch.randn(2, frames, 16, height, width, generator=generator)
    value = torch.randn(2, frames, 20, height, width, generator=generator)

    with torch.no_grad():
        out = attend_flex(query, key, value, radius=radius)

    expected = attend_by_definition(query, key, value, radius=radius)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device; runs in benchmarks/gpu.sh"
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_match_the_definition_on_a_gpu(dtype: torch.dtype) -> None:
    maps = [torch.randn(2, *s, 37, 50, device="cuda") for s in ((32,), (1, 32), (1, 260))]
    cast = [m.to(dtype).requires_grad_() for m in maps]
    exact = [m.detach().double().requires_grad_() for m in cast]
    grad = torch.randn(2, 260, 37, 50, device="cuda").to(dtype)

    attend_flex(*cast, radius=5).backward(grad)
    attend_by_definition(*exact, radius=5).backward(grad.double())

    for got, want in zip(cast, exact, strict=True):
        assert got.grad is not None
        assert want.grad is not None
        error = (got.grad.double() - want.grad).norm() / want.grad.norm()
        assert error < {torch.float32: 5e-3, torch.bfloat16: 5e-2}[dtype]


def test_is_not_asked_on_a_cpu() -> None:
    query, key = torch.zeros(16, 16, 64, 128), torch.zeros(16, 1, 16, 64, 128)

    assert not flex_serves(query, key, key, radius=3, present=None, bias=None)


def test_is_imported_only_when_asked() -> None:
    code = (
        "import sys, mila.attention; sys.exit('torch.nn.attention.flex_attention' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)

    assert done.returncode == 0
