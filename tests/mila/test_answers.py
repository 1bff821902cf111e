"""Answers to a clip equal the model's own predictions, as plain arrays."""

import numpy as np
import pytest
import torch

from mila.answers import answer_clip
from mila.config import ModelSettings
from mila.model import Mila, build_model


@pytest.fixture(scope="module")
def model() -> Mila:
    torch.manual_seed(0)
    return build_model(ModelSettings(tasks=("semseg", "depth", "normals"))).eval()


def test_arrays_are_the_models_predictions(model: Mila) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3), dtype=np.uint8)

    answer = answer_clip(model, frames, keyframe_interval=2)

    clip = torch.from_numpy(frames).permute(0, 3, 1, 2)[None]
    with torch.inference_mode():
        expected = [predictions for predictions, _ in model(clip, keyframe_interval=2)]
    assert {name: (a.shape, str(a.dtype)) for name, a in answer.items()} == {
        "semseg": ((3, 32, 48), "uint8"),
        "depth": ((3, 32, 48), "float32"),
        "normals": ((3, 32, 48, 3), "float32"),
    }
    for t, predictions in enumerate(expected):
        assert (answer["semseg"][t] == predictions["semseg"][0].argmax(0).numpy()).all()
        np.testing.assert_allclose(answer["depth"][t], predictions["depth"][0].numpy(), rtol=1e-5)
        normals = predictions["normals"][0].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(answer["normals"][t], normals, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "frames",
    [np.zeros((2, 32, 48, 3), np.float32), np.zeros((32, 48, 3), np.uint8), np.zeros((0, 3, 3, 3))],
)
def test_other_shapes_and_types_are_refused(model: Mila, frames: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        answer_clip(model, frames, keyframe_interval=2)
