"""Handing networks from one model to another."""

from pathlib import Path

import pytest
import torch

from mila.config import EncoderSettings, ModelSettings, PropagationSettings
from mila.export import adopt_networks, export_model
from mila.model import build_model

SMALL = EncoderSettings(widths=(16, 16, 16, 16), depths=(0, 0, 0, 0))


def settings(kind: str, head_channels: int = 8) -> ModelSettings:
    return ModelSettings(
        channels=16,
        head_channels=head_channels,
        slow=SMALL,
        fast=SMALL,
        propagation=PropagationSettings(kind=kind, key_channels=4),  # type: ignore[arg-type]
    )


def test_networks_go_over_to_another_propagation(tmp_path: Path) -> None:
    source = build_model(settings("ila"))
    export_model(source, tmp_path, origin={})
    model = build_model(settings("flow_warp"))
    between = {k: v.clone() for k, v in model.propagation.state_dict().items()}

    adopt_networks(model, tmp_path)

    for name in ("slow", "fast_alone"):
        torch.testing.assert_close(
            getattr(model, name).state_dict(), getattr(source, name).state_dict(), rtol=0, atol=0
        )
    encoder = source.fast_alone.encoder.state_dict()
    torch.testing.assert_close(model.fast.state_dict(), encoder, rtol=0, atol=0)
    torch.testing.assert_close(model.propagation.state_dict(), between, rtol=0, atol=0)


def test_networks_of_another_size_are_refused(tmp_path: Path) -> None:
    export_model(build_model(settings("ila")), tmp_path, origin={})

    with pytest.raises(ValueError, match="its network `slow` does not fit"):
        adopt_networks(build_model(settings("ila", head_channels=16)), tmp_path)
