"""Weights come from a file strictly, or not at all."""

import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mila.resnet import ResNet
from mila.weights import load_weights


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """A file like a public checkpoint: a narrow ResNet-18 with its classifier."""
    torch.manual_seed(0)
    state = dict(ResNet(18, width=16).state_dict())
    state |= {"fc.weight": torch.randn(1000, 128), "fc.bias": torch.randn(1000)}
    torch.save(state, tmp_path / "resnet18.pth")
    return tmp_path / "resnet18.pth"


def saved(path: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(path, weights_only=True)
    return state


def test_loads_and_names_the_file_by_its_digest(public: Path) -> None:
    network = ResNet(18, width=16)

    digest = load_weights(network, public, ignore=network.left_out)

    assert digest == hashlib.sha256(public.read_bytes()).hexdigest()
    assert all(torch.equal(v, saved(public)[k]) for k, v in network.state_dict().items())


def test_a_cut_trunk_ignores_the_last_stage(public: Path) -> None:
    network = ResNet(18, width=16, stride=16, cut=True)

    load_weights(network, public, ignore=network.left_out)

    assert torch.equal(network.conv1.weight, saved(public)["conv1.weight"])


def test_older_files_without_batch_counters_load(public: Path, tmp_path: Path) -> None:
    state = {k: v for k, v in saved(public).items() if not k.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "old.pth")
    network = ResNet(18, width=16)

    load_weights(network, tmp_path / "old.pth", ignore=network.left_out)

    assert torch.equal(network.bn1.weight, state["bn1.weight"])


def test_what_does_not_fit_is_named_and_nothing_changes(public: Path, tmp_path: Path) -> None:
    state = saved(public)
    del state["layer1.0.conv1.weight"]
    state["extra.weight"] = torch.zeros(1)
    state["bn1.bias"] = torch.zeros(7)
    torch.save(state, tmp_path / "bad.pth")
    network = ResNet(18, width=16)
    before = {k: v.clone() for k, v in network.state_dict().items()}

    with pytest.raises(ValueError, match=r"bad\.pth does not fit ResNet") as error:
        load_weights(network, tmp_path / "bad.pth", ignore=network.left_out)

    assert "missing: layer1.0.conv1.weight" in str(error.value)
    assert "left over: extra.weight" in str(error.value)
    assert "bn1.bias (7,) instead of (16,)" in str(error.value)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_long_lists_are_cut(public: Path) -> None:
    with pytest.raises(ValueError, match=r"left over: .* and \d+ more"):
        load_weights(torch.nn.Linear(2, 2), public)


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("not a checkpoint")
    torch.save({"epoch": 3}, tmp_path / "dict.pth")
    torch.save({"f": Path}, tmp_path / "code.pth")

    for name in ("text.pth", "dict.pth", "code.pth", "absent.pth"):
        with pytest.raises(ValueError, match=name):
            load_weights(torch.nn.Linear(2, 2), tmp_path / name)
