"""Where attention expects a position to have been: against the definition, pair by pair."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mila.config import PropagationSettings
from mila.propagation import FeatureSizes, FrameFeatures, build_propagation
from mila.propagation.ila import InterFrameLocalAttention
from mila.propagation.motion_prior import MotionPrior, place_channels

HEIGHT, WIDTH, CHANNELS = 5, 7, 16
OFFSET = torch.tensor([1, 4])


def prior(kind: str) -> MotionPrior:
    torch.manual_seed(0)
    made = MotionPrior(PropagationSettings(prior=kind), CHANNELS)
    with torch.no_grad():
        made.log_strength.fill_(-1.0)
        made.decay.fill_(0.7)
        for parameter in made.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return made.double()


def features(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, CHANNELS, HEIGHT, WIDTH, generator=generator, dtype=torch.float64)


def expected(made: MotionPrior, maps: Tensor, sample: int, here: tuple[int, int]) -> Tensor:
    """-s |p' - c|^2 for every p', (h, w), written as the definition reads."""
    age = float(OFFSET[sample])
    strength = math.exp(float(made.log_strength)) / age ** float(made.decay)
    y, x = here
    if made.motion is not None:
        read = made.motion(maps)[sample, :, y, x]
        y, x = y + age * float(read[0]), x + age * float(read[1])
        strength *= math.exp(3 * math.tanh(float(read[2])))
    rows = torch.arange(HEIGHT, dtype=torch.float64).view(-1, 1)
    columns = torch.arange(WIDTH, dtype=torch.float64)
    return -strength * ((rows - y) ** 2 + (columns - x) ** 2)


@pytest.mark.parametrize("kind", ["near", "motion"])
def test_product_is_the_definition(kind: str) -> None:
    made, maps = prior(kind), features()
    query, key = made.query(maps, OFFSET), place_channels(maps)

    with torch.no_grad():
        scores = torch.einsum("bcyx,bcvu->byxvu", query, key)
        for sample in (0, 1):
            for here in ((0, 0), (2, 3), (4, 6)):
                wanted = expected(made, maps, sample, here)
                torch.testing.assert_close(scores[sample, here[0], here[1]], wanted)


def attention(**options: object) -> InterFrameLocalAttention:
    torch.manual_seed(0)
    base = {"radius": 2, "key_channels": 8, "prior": "none", "compare": "high"}
    base["multi_frame"] = False
    settings = PropagationSettings(**base | options)
    sizes = FeatureSizes(channels=CHANNELS, feature_stride=4, low_channels=8, score_channels=(5, 1))
    module = build_propagation(settings, sizes)
    assert isinstance(module, InterFrameLocalAttention)
    return module


def frame(seed: int, offset: Tensor | None) -> FrameFeatures:
    maps = features(seed).float()
    return FrameFeatures(torch.zeros(2, 3, 4 * HEIGHT, 4 * WIDTH), (maps, maps), offset=offset)


def test_without_content_only_distance_counts() -> None:
    module = attention(prior="near")
    with torch.no_grad():
        module.projections[0].theta.weight.zero_()
    memory = module.start(frame(0, None))

    weights = module.weights_at(memory, frame(1, OFFSET), [(2, 3)])[0]

    rows, columns = torch.meshgrid(torch.arange(5), torch.arange(1, 6), indexing="ij")
    squared = (rows - 2) ** 2 + (columns - 3) ** 2
    torch.testing.assert_close(weights[:, 1:6], (-0.5 * squared).flatten().softmax(0).view(5, 5))
    assert not weights[:, [0, 6]].any()


def test_preference_falls_with_the_offset() -> None:
    module = attention(prior="near")
    memory = module.start(frame(0, None))

    spread = [
        module.step(memory, frame(1, torch.tensor([o, o]))).hints[:, 2:4].mean().item()
        for o in (1, 2, 4, 8)
    ]

    assert spread == sorted(spread)
    assert spread[0] < 0.8 * spread[-1]


def test_frame_before_is_expected_one_frame_away() -> None:
    module = attention(prior="motion", multi_frame=True)
    maps = features(1).float()
    far = FrameFeatures(frame(1, None).image, (maps, maps), offset=torch.tensor([5, 5]))
    queries = torch.zeros(2, 8, HEIGHT, WIDTH)

    asked = module._asked(0, queries, far)[:, 8:]

    grown = math.sqrt(8 + 2 * 4)
    made = module.priors[0]
    assert isinstance(made, MotionPrior)
    torch.testing.assert_close(asked[:, 4:], grown * made.query(maps, torch.ones(2)))
    torch.testing.assert_close(asked[:, :4], grown * made.query(maps, torch.full((2,), 5)))


def test_macs_by_hand() -> None:
    plain, near = (attention(prior=kind).macs(5, 7) for kind in ("none", "near"))
    motion = attention(prior="motion").macs(5, 7)
    multi = attention(prior="motion", multi_frame=True).macs(5, 7)
    before = attention(multi_frame=True).macs(5, 7)
    pairs = (5 * 5 - 2 * 3) * (7 * 5 - 2 * 3)

    assert near.frame - plain.frame == 4 * pairs
    assert motion.frame - near.frame == 35 * CHANNELS * 3
    assert multi.frame - before.frame == 2 * 8 * pairs + 35 * CHANNELS * 3


def test_half_precision_features_keep_exact_places() -> None:
    module = attention(prior="near")
    key, now = frame(0, None), frame(1, OFFSET)
    half = [replace(f, maps=tuple(m.bfloat16() for m in f.maps)) for f in (key, now)]
    with torch.no_grad():
        module.projections[0].theta.weight.zero_()
        exact = module.step(module.start(key), now)
        rounded = module.bfloat16().step(module.start(half[0]), half[1])

    torch.testing.assert_close(rounded.hints, exact.hints, atol=1e-2, rtol=1e-2)
