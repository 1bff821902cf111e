"""The trunks against the structure that public checkpoints document."""

import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mila.resnet import ResNet

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def public_shapes(depth: int) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of the public checkpoint without `fc`, from its documented structure."""
    shapes: dict[str, tuple[int, ...]] = {}

    def conv(name: str, outputs: int, inputs: int, kernel: int) -> None:
        shapes[f"{name}.weight"] = (outputs, inputs, kernel, kernel)

    def norm(name: str, channels: int) -> None:
        for key in NORM[:4]:
            shapes[f"{name}.{key}"] = (channels,)
        shapes[f"{name}.num_batches_tracked"] = ()

    conv("conv1", 64, 3, 7)
    norm("bn1", 64)
    channels, deep = 64, depth >= 50
    for stage, count in enumerate(BLOCKS[depth]):
        width = 64 * 2**stage
        for index in range(count):
            name = f"layer{stage + 1}.{index}"
            outputs = 4 * width if deep else width
            kernels = (1, 3, 1) if deep else (3, 3)
            sizes = (
                [(channels, width), (width, width), (width, outputs)]
                if deep
                else [(channels, width), (width, width)]
            )
            for number, (kernel, (ins, outs)) in enumerate(zip(kernels, sizes, strict=True), 1):
                conv(f"{name}.conv{number}", outs, ins, kernel)
                norm(f"{name}.bn{number}", outs)
            if index == 0 and (stage > 0 or deep):
                conv(f"{name}.downsample.0", outputs, channels, 1)
                norm(f"{name}.downsample.1", outputs)
            channels = outputs
    return shapes


@pytest.mark.parametrize(
    "depth, keys, parameters",
    # Published counts, less the two keys and the parameters of fc.
    [
        (18, 122 - 2, 11_689_512 - 513_000),
        (34, 218 - 2, 21_797_672 - 513_000),
        (50, 320 - 2, 25_557_032 - 2_049_000),
        (101, 626 - 2, 44_549_160 - 2_049_000),
    ],
)
def test_keys_and_shapes_are_public(depth: int, keys: int, parameters: int) -> None:
    with torch.device("meta"):
        network = ResNet(depth)
    shapes = {k: tuple(v.shape) for k, v in network.state_dict().items()}

    assert shapes == public_shapes(depth)
    assert len(shapes) == keys
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert shapes["layer4.1.conv2.weight"] == (512, 512, 3, 3)


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize(
    "stride, cut", [(8, False), (16, False), (32, False), (8, True), (16, True)]
)
def test_sizes(depth: int, stride: int, cut: bool) -> None:
    network = ResNet(depth, stride=stride, cut=cut, width=16).eval()

    out = network(torch.randn(1, 3, 64, 96))

    assert out.low.shape == (1, network.low_channels, 16, 24)
    assert out.high.shape == (1, network.high_channels, 64 // stride, 96 // stride)
    assert any(k.startswith("layer4") for k in network.state_dict()) != cut


def test_dilation_keeps_the_result_at_the_places_that_stay() -> None:
    """With dilation in place of striding, every second place is the strided network's result."""
    torch.manual_seed(0)
    strided, dilated = ResNet(50, width=16).eval(), ResNet(50, stride=16, width=16).eval()
    dilated.load_state_dict(strided.state_dict())
    image = torch.randn(1, 3, 128, 128)

    with torch.no_grad():
        expected, out = strided(image).high, dilated(image).high[..., ::2, ::2]

    torch.testing.assert_close(
        out[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize(
    "depth, stride, gmacs", [(18, 16, 127), (50, 16, 259), (101, 16, 415), (18, 32, 75.6)]
)
def test_multiply_adds_at_1024x2048(depth: int, stride: int, gmacs: float) -> None:
    """18 at stride 32: the published 1.81 GMAC at 224x224 without fc, times the area."""
    with torch.device("meta"):
        network, image = ResNet(depth, stride=stride), torch.empty(1, 3, 1024, 2048)

    with FlopCounterMode(display=False) as counter:
        network(image)

    assert counter.get_total_flops() / 2e9 == pytest.approx(gmacs, rel=0.01)


@pytest.mark.parametrize("depth", [18, 50])
def test_refuses_few_channels_before_a_strided_1x1(depth: int) -> None:
    width = 8 if depth == 18 else 2
    with pytest.raises(ValueError, match=r"layer2.0.downsample.0 strides over 8 channels"):
        ResNet(depth, width=width)


@pytest.mark.parametrize("stride, cut", [(4, False), (32, True)])
def test_refuses_strides_it_has_not(stride: int, cut: bool) -> None:
    with pytest.raises(ValueError, match=f"got {stride}"):
        ResNet(18, stride=stride, cut=cut)


def test_trains_in_channels_last() -> None:
    """In a process of its own: a crash in the backward pass would end this one."""
    code = """if True:
        import torch
        from mila.resnet import ResNet
        torch.set_num_threads(1)
        network = ResNet(18, width=16).to(memory_format=torch.channels_last)
        for _ in range(3):
            image = torch.randn(6, 3, 48, 96).contiguous(memory_format=torch.channels_last)
            network(image).high.square().mean().backward()
    """
    done = subprocess.run([sys.executable, "-c", code], timeout=100, check=False)

    assert done.returncode == 0
