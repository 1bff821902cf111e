"""Example panels show the frame, the keyframe and the predictions that they name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from mila.clip import Clip
from mila.examples import example_panels
from mila.model import Mila
from mila.panels import Painter, class_colours
from mila.tasks import LABEL_SETS

MakeModel = Callable[..., Mila]
MakeBatch = Callable[..., Clip]
PAINTER = Painter(LABEL_SETS["cityscapes"], 80.0)


def ids(logits: torch.Tensor) -> np.ndarray:
    return class_colours(logits[0].argmax(dim=0).numpy(), LABEL_SETS["cityscapes"])


def test_tiles_are_what_they_say(make_model: MakeModel, make_batch: MakeBatch) -> None:
    model, clip = make_model(), make_batch(1, 5)
    with torch.no_grad():
        _, memory = model.step(clip.images[:, 2], None, True)
        _, memory = model.step(clip.images[:, 3], memory, False)
        mila, _ = model.step(clip.images[:, 4], memory, False)
        slow = model.slow_predictions(clip.images[:, 4])

    panels = example_panels(model, clip, PAINTER, offset=2)

    titles = [panel.title for panel in panels]
    assert titles == [f"{what}: clip-0-0, frame 4" for what in ("semseg", "depth", "attention")]
    image, truth, by_slow, by_mila, _ = panels[0].tiles
    assert (image.picture == clip.images[0, 4].permute(1, 2, 0).numpy()).all()
    labels = clip.labels["semseg"][0, 4].numpy()
    assert (truth.picture == class_colours(labels, LABEL_SETS["cityscapes"])).all()
    assert (by_slow.picture == ids(slow["semseg"])).all()
    assert (by_mila.picture == ids(mila["semseg"])).all()
    assert by_mila.title == "MILA, keyframe 2 frames ago"


def test_the_last_labelled_frame_is_shown(make_model: MakeModel, make_batch: MakeBatch) -> None:
    clip = make_batch(1, 6)
    clip.labels["semseg"][:, 4:] = 255
    clip.labels["depth"][:, 2:] = 0

    panels = example_panels(make_model(), clip, PAINTER, offset=9)

    assert panels[0].title.endswith("frame 3")
    assert panels[0].tiles[3].title == "MILA, keyframe 3 frames ago"


def test_other_propagations_have_no_attention_to_show(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    panels = example_panels(make_model(kind="copy"), make_batch(1, 3), PAINTER, offset=1)

    assert [panel.title.split(":")[0] for panel in panels] == ["semseg", "depth"]


def test_a_single_frame_is_refused(make_model: MakeModel, make_batch: MakeBatch) -> None:
    with pytest.raises(ValueError, match="clip-0-0: pictures need two frames or more"):
        example_panels(make_model(), make_batch(1, 1), PAINTER, offset=1)
