"""Every form of inter-frame local attention against four nested loops in float64."""

import math

import pytest
import torch
from torch import Tensor

from mila.attention import inter_frame_local_attention, tiled
from mila.attention.reference import attend_by_definition

FORMS = {"tiled": inter_frame_local_attention, "reference": attend_by_definition}
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 2e-2}


def attention_by_loops(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    radius: int,
    present: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Query (B, C, H, W), key (B, F, C, H, W), value (B, F, V, H, W) -> (B, V, H, W)."""
    batch, channels, height, width = query.shape
    frames = key.shape[1]
    out = value.new_zeros(batch, value.shape[2], height, width)
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                places = [
                    (f, ky, kx)
                    for f in range(frames)
                    for ky in range(max(0, y - radius), min(height, y + radius + 1))
                    for kx in range(max(0, x - radius), min(width, x + radius + 1))
                    if present is None or present[b, f]
                ]
                scores = torch.stack(
                    [
                        query[b, :, y, x] @ key[b, f, :, ky, kx] / math.sqrt(channels)
                        + (0 if bias is None else bias[f])
                        for f, ky, kx in places
                    ]
                )
                for weight, (f, ky, kx) in zip(scores.softmax(0), places, strict=True):
                    out[b, :, y, x] += weight * value[b, f, :, ky, kx]
    return out


def maps(
    shape: tuple[int, int, int, int, int, int], dtype: torch.dtype = torch.float64, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Random query, key and value for sizes (B, F, C, V, H, W)."""
    b, f, c, v, h, w = shape
    generator = torch.Generator().manual_seed(seed)

    def draw(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64).to(dtype)

    return draw(b, c, h, w), draw(b, f, c, h, w), draw(b, f, v, h, w)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("height, width", [(5, 7), (1, 4), (3, 3), (9, 17), (1, 1)])
@pytest.mark.parametrize("radius", [0, 1, 3, 9])
@pytest.mark.parametrize("frames", [1, 2])
def test_matches_definition(form: str, height: int, width: int, radius: int, frames: int) -> None:
    query, key, value = maps((2, frames, 3, 2, height, width))
    present = torch.tensor([[True] * frames, [True] + [False] * (frames - 1)])
    bias = torch.tensor([0.0, 0.7][:frames], dtype=torch.float64)

    out = FORMS[form](query, key, value, radius=radius, present=present, bias=bias)

    expected = attention_by_loops(query, key, value, radius, present, bias)
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_gradients_match_the_definition(
    dtype: torch.dtype, memory_format: torch.memory_format
) -> None:
    exact = [m.requires_grad_() for m in maps((2, 1, 8, 12, 11, 19))]
    cast = [m.detach().to(dtype) for m in exact]
    cast = [m.flatten(0, -4).contiguous(memory_format=memory_format).view_as(m) for m in cast]
    cast = [m.requires_grad_() for m in cast]
    grad = torch.randn(2, 12, 11, 19, dtype=torch.float64)
    rounded = [m.detach().double().requires_grad_() for m in cast]

    out = inter_frame_local_attention(*cast, radius=3)
    out.backward(grad.to(dtype))
    expected = attend_by_definition(*rounded, radius=3)
    expected.backward(grad)

    assert out.dtype == dtype
    assert relative_error(out, expected) < TOLERANCE[dtype]
    for got, want in zip(cast, rounded, strict=True):
        assert relative_error(got.grad, want.grad) < TOLERANCE[dtype]


def relative_error(got: Tensor | None, want: Tensor | None) -> float:
    assert got is not None
    assert want is not None
    return ((got.double() - want).norm() / want.norm()).item()


@pytest.mark.parametrize("band_bytes", [1, 2**13, 2**21])
@pytest.mark.parametrize("frames", [1, 2])
def test_gradcheck(monkeypatch: pytest.MonkeyPatch, band_bytes: int, frames: int) -> None:
    monkeypatch.setattr(tiled, "CPU_BAND_BYTES", band_bytes)
    inputs = [m.requires_grad_() for m in maps((3, frames, 2, 3, 6, 10))]
    bias = torch.zeros(frames, dtype=torch.float64, requires_grad=True)
    present = torch.tensor([[True] * frames] * 2 + [[True] + [False] * (frames - 1)])

    def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        return inter_frame_local_attention(query, key, value, radius=2, present=present, bias=bias)

    assert torch.autograd.gradcheck(attend, (*inputs, bias), fast_mode=True)


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_gradient_of_one_input_alone(wanted: int) -> None:
    inputs = list(maps((1, 1, 4, 4, 7, 9)))
    whole = [m.clone().requires_grad_() for m in inputs]
    inter_frame_local_attention(*whole, radius=2).square().sum().backward()
    inputs[wanted] = inputs[wanted].clone().requires_grad_()

    inter_frame_local_attention(*inputs, radius=2).square().sum().backward()

    torch.testing.assert_close(inputs[wanted].grad, whole[wanted].grad)


@pytest.mark.parametrize("radius", [1, 4])
def test_constants_come_out_constant(radius: int) -> None:
    query, key, value = maps((1, 2, 4, 3, 9, 13), torch.float32)
    value = torch.full_like(value, 2.5)

    out = inter_frame_local_attention(query, key, value, radius=radius)

    torch.testing.assert_close(out, torch.full_like(out, 2.5), rtol=1e-6, atol=0)


def test_radius_zero_copies() -> None:
    query, key, value = maps((2, 1, 4, 3, 5, 11), torch.float32)

    out = inter_frame_local_attention(query, key, value, radius=0)

    assert torch.equal(out, value[:, 0])


def test_window_over_the_map_is_global_attention() -> None:
    query, key, value = maps((2, 1, 4, 3, 5, 7))
    scores = query.flatten(2).transpose(1, 2) @ key[:, 0].flatten(2) / 2
    expected = (scores.softmax(-1) @ value[:, 0].flatten(2).transpose(1, 2)).transpose(1, 2)

    for radius in (6, 50):
        out = inter_frame_local_attention(query, key, value, radius=radius)
        torch.testing.assert_close(out.flatten(2), expected)


def test_shift_is_found() -> None:
    shift_y, shift_x, radius = 2, -3, 4
    query, _, _ = maps((1, 1, 32, 2, 20, 24))
    query = query / query.norm(dim=1, keepdim=True) * 30
    key = query.roll((shift_y, shift_x), dims=(2, 3)).unsqueeze(1)
    rows, columns = torch.meshgrid(torch.arange(20.0), torch.arange(24.0), indexing="ij")
    value = torch.stack([rows, columns]).double().view(1, 1, 2, 20, 24)

    out = inter_frame_local_attention(query, key, value, radius=radius)

    moved = (out - value[:, 0])[..., 4:-4, 4:-4]
    expected = torch.tensor([[[[shift_y]], [[shift_x]]]]).double().expand_as(moved)
    torch.testing.assert_close(moved, expected, atol=1e-3, rtol=0)


def test_a_missing_reference_leaves_the_other_alone() -> None:
    query, key, value = maps((2, 2, 4, 3, 6, 9), torch.float32)
    present = torch.tensor([[True, False], [False, True]])

    both = inter_frame_local_attention(query, key, value, radius=2, present=present)

    first = inter_frame_local_attention(query, key[:, :1], value[:, :1], radius=2)
    second = inter_frame_local_attention(query, key[:, 1:], value[:, 1:], radius=2)
    torch.testing.assert_close(both[0], first[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(both[1], second[1], rtol=1e-5, atol=1e-6)


def test_outside_weighs_exactly_nothing() -> None:
    query, key, value = maps((1, 1, 4, 3, 6, 9), torch.float32)
    value[..., :, 5:] = 1e30

    out = inter_frame_local_attention(query, key, value, radius=2)

    assert out[..., :3].abs().max() < 10


def test_repeats_bit_for_bit() -> None:
    runs = []
    for _ in range(2):
        inputs = [m.requires_grad_() for m in maps((3, 2, 16, 8, 13, 21), torch.float32)]
        out = inter_frame_local_attention(*inputs, radius=3)
        out.square().sum().backward()
        runs.append([out, *(m.grad for m in inputs)])

    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


@pytest.mark.parametrize("band_bytes", [1, 2**15, 2**30])
def test_bands_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch, band_bytes: int) -> None:
    query, key, value = maps((3, 2, 4, 5, 13, 21))
    expected = attend_by_definition(query, key, value, radius=2)
    monkeypatch.setattr(tiled, "CPU_BAND_BYTES", band_bytes)

    out = inter_frame_local_attention(query, key, value, radius=2)

    torch.testing.assert_close(out, expected)


def test_autocast_leaves_the_softmax_in_float32() -> None:
    inputs = [m.requires_grad_() for m in maps((1, 1, 16, 8, 8, 12), torch.float32)]
    plain = inter_frame_local_attention(*inputs, radius=3)
    plain_grads = torch.autograd.grad(plain.square().sum(), inputs)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = inter_frame_local_attention(*inputs, radius=3)
        grads = torch.autograd.grad(out.square().sum(), inputs)

    assert torch.equal(out, plain)
    assert all(torch.equal(a, b) for a, b in zip(grads, plain_grads, strict=True))


def test_half_precision_scores_keep_the_weights_exact() -> None:
    # Many equal scores: in bfloat16 the sum of 81 weights of 1/81 would be off by up to 1 %.
    query, key, value = maps((1, 1, 4, 3, 9, 13), torch.bfloat16)
    value = torch.full_like(value, 1.0)

    out = inter_frame_local_attention(torch.zeros_like(query), key, value, radius=4)

    torch.testing.assert_close(out, torch.ones_like(out), rtol=4e-3, atol=0)


def test_works_after_inference_mode() -> None:
    shape = (1, 1, 4, 3, 6, 15)
    with torch.inference_mode():
        inter_frame_local_attention(*maps(shape), radius=2)
    inputs = [m.requires_grad_() for m in maps(shape)]

    inter_frame_local_attention(*inputs, radius=2).sum().backward()

    assert inputs[2].grad is not None


@pytest.mark.parametrize(
    "change, words",
    [
        ({"radius": -1}, "radius must be 0 or more"),
        ({"key": torch.zeros(1, 1, 4, 5, 6)}, "must match query"),
        ({"value": torch.zeros(1, 2, 4, 5, 7)}, "must match key"),
        ({"key": torch.zeros(1, 4, 5, 7)}, "expected"),
        ({"key": torch.zeros(1, 1, 4, 5, 7).double()}, "one floating dtype"),
        ({"present": torch.ones(1, 2, dtype=torch.bool)}, "present must be bool"),
        ({"bias": torch.zeros(2)}, "bias must have shape"),
    ],
)
def test_refuses(change: dict[str, object], words: str) -> None:
    maps_ = {
        "query": torch.zeros(1, 4, 5, 7),
        "key": torch.zeros(1, 1, 4, 5, 7),
        "value": torch.zeros(1, 1, 4, 5, 7),
        "radius": 1,
    }
    with pytest.raises(ValueError, match=words):
        inter_frame_local_attention(**(maps_ | change))
