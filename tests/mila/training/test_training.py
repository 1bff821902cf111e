"""The whole loop at toy size: stops, goes on, and what each stage may move."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from mila.config import Params
from mila.export import export_model, load_exported
from mila.overrides import load_params
from mila.training.context import LocalContext, Report
from mila.training.state import TrainState
from mila.training.worker import choose_precision, work
from tests.conftest import MakeClip, MakeShards

WORDS = ("preset=smoke", "train.report_every=2", "train.precision=float32")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def params(tmp_path: Path, make_clip: MakeClip, make_shards: MakeShards) -> Params:
    train = [make_clip(f"train-{i:02d}", frames=6, height=32, width=48) for i in range(6)]
    val = [make_clip("val-00", frames=6, height=32, width=48)]
    make_shards(tmp_path / "data", [*train, *val])
    return load_params([*WORDS, f"data.root={tmp_path / 'data'}"])


def with_words(params: Params, *words: str) -> Params:
    return load_params([*WORDS, f"data.root={params.data.root}", *words])


def same_bits(a: object, b: object) -> bool:
    """Whether two trees of plain values and tensors are equal to the last bit."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_bits(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same_bits, a, b))
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return torch.equal(a, b)
    return a == b


def weights(folder: Path) -> dict[str, object]:
    newest = (folder / "committed").read_text()
    tree: dict[str, object] = torch.load(folder / newest / "state.pt", weights_only=True)
    return tree


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("loss.adversary=alternating", "loss.gradient=both"),
        ("train.ema=0.9",),
        ("train.slow.optimizer=muon", "train.joint.optimizer=muon"),
    ],
    ids=["default", "alternating", "ema", "muon"],
)
def test_a_stopped_run_ends_like_a_whole_one(
    tmp_path: Path, params: Params, words: tuple[str, ...]
) -> None:
    params = with_words(params, *words)
    work(LocalContext(tmp_path / "whole"), params)
    while True:
        state = work(LocalContext(tmp_path / "parts", stop_after=1), params)
        if state.stage is None:
            break

    assert same_bits(weights(tmp_path / "parts"), weights(tmp_path / "whole"))


def test_exact_motion_is_trained_and_validated(tmp_path: Path, params: Params) -> None:
    params = with_words(params, "model.propagation.kind=exact_flow")
    seen: list[Report] = []

    work(LocalContext(tmp_path / "run", show=seen.append), params)

    joint = [report for report in seen if report.stage == "joint"]
    assert joint
    assert all(0 < r.metrics["val/depth/abs_rel"] < float("inf") for r in joint)


def test_a_finished_run_trains_no_further(tmp_path: Path, params: Params) -> None:
    work(LocalContext(tmp_path / "run"), params)
    seen: list[Report] = []

    work(LocalContext(tmp_path / "run", show=seen.append), params)

    assert not seen


def test_reports_count_updates_and_end_with_the_last(tmp_path: Path, params: Params) -> None:
    seen: list[Report] = []
    work(LocalContext(tmp_path / "run", show=seen.append), params)

    assert [r.stage for r in seen] == ["slow"] * 3 + ["fast"] * 3 + ["joint"] * 3 + [
        "fast_alone"
    ] * 3
    assert [r.total_update for r in seen] == list(range(2, 25, 2))
    assert [r.last for r in seen] == [False] * 11 + [True]
    assert all(len(r.series["loss"]) == 2 for r in seen)
    assert "val/semseg/mean_iou" in seen[0].metrics
    assert "discriminator_accuracy" in seen[6].metrics


def test_frozen_slow_networks_do_not_move_in_the_joint_stage(
    tmp_path: Path, params: Params
) -> None:
    params = with_words(params, "loss.gradient=frozen")
    before = work(LocalContext(tmp_path / "run", stop_after=6), params)
    slow = {k: v.clone() for k, v in before.model.slow.state_dict().items()}
    fast = {k: v.clone() for k, v in before.model.fast.state_dict().items()}

    after = work(LocalContext(tmp_path / "run", stop_after=3), params)

    assert all(torch.equal(v, slow[k]) for k, v in after.model.slow.state_dict().items())
    assert any(not torch.equal(v, fast[k]) for k, v in after.model.fast.state_dict().items())


@pytest.mark.parametrize(("gradient", "moves"), [("both", True), ("fast", True)])
def test_slow_networks_move_when_they_may(
    tmp_path: Path, params: Params, gradient: str, moves: bool
) -> None:
    params = with_words(params, f"loss.gradient={gradient}", "train.slow.updates=0")
    start = TrainState(params, device=torch.device("cpu")).model.slow.state_dict()

    end = work(LocalContext(tmp_path / "run"), params).model.slow.state_dict()

    assert any(not torch.equal(v, start[k]) for k, v in end.items()) is moves


def test_a_checkpoint_of_another_identity_is_refused(tmp_path: Path, params: Params) -> None:
    work(LocalContext(tmp_path / "run", stop_after=1), params, identity="one")

    with pytest.raises(ValueError, match="belongs to run identity one, expected two"):
        work(LocalContext(tmp_path / "run"), params, identity="two")


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path, params: Params) -> None:
    params = with_words(params, "train.slow.learning_rate=1e30")

    with pytest.raises(FloatingPointError, match="gradient norm is"):
        work(LocalContext(tmp_path / "run"), params)


def test_too_few_clips_for_a_batch_is_one_sentence(tmp_path: Path, params: Params) -> None:
    params = with_words(params, "train.slow.batch_size=64")

    with pytest.raises(ValueError, match="6 clips do not fill one batch of 64"):
        work(LocalContext(tmp_path / "run"), params)


def test_start_from_takes_exported_weights(tmp_path: Path, params: Params) -> None:
    trained = work(LocalContext(tmp_path / "first"), params)
    export_model(trained.model, tmp_path / "model", origin={})
    words = [f"train.{stage}.updates=0" for stage in ("slow", "fast", "joint")]
    again = with_words(params, *words, f"train.start_from={tmp_path / 'model'}")

    state = work(LocalContext(tmp_path / "second"), again)

    back = load_exported(tmp_path / "model").state_dict()
    torch.testing.assert_close(state.model.state_dict(), back, rtol=0, atol=0)


def test_a_taught_fast_network_comes_closer_to_the_slow_one(tmp_path: Path, params: Params) -> None:
    """Soft targets alone, no labels: what is learnt can only come from the teacher."""
    words = ["train.slow.updates=0", "train.joint.updates=0", "train.fast.updates=12"]
    words += ["loss.semseg=0", "loss.depth=0", "loss.distil=1"]
    params = with_words(params, *words)
    seen: list[Report] = []
    start = TrainState(params, device=torch.device("cpu")).model
    end = work(LocalContext(tmp_path / "run", show=seen.append), params).model

    assert all(r.stage == "fast" for r in seen)
    soft = [value for report in seen for value in report.series["soft"]]
    assert sum(soft[-3:]) < 0.8 * sum(soft[:3])
    for name, value in end.slow.state_dict().items():
        torch.testing.assert_close(value, start.slow.state_dict()[name], rtol=0, atol=0)


def test_precision_follows_the_hardware() -> None:
    cpu = torch.device("cpu")
    assert choose_precision("float32", cpu) is None
    assert choose_precision("bfloat16", cpu) is torch.bfloat16
    native = torch.cpu._is_avx512_bf16_supported()
    assert choose_precision("auto", cpu) is (torch.bfloat16 if native else None)


def test_the_committed_checkpoint_survives_a_broken_save(tmp_path: Path, params: Params) -> None:
    work(LocalContext(tmp_path / "run", stop_after=1), params)
    newest = (tmp_path / "run" / "committed").read_text()
    os.makedirs(tmp_path / "run" / "checkpoint-00000099")

    state = TrainState(params, device=torch.device("cpu"))

    assert LocalContext(tmp_path / "run").restore(state)
    assert newest == f"checkpoint-{state.progress.total_update:08d}"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full; runs on Linux")
def test_a_full_disk_is_an_os_error(tmp_path: Path, params: Params) -> None:
    """The loop may go on after one; torch itself raises RuntimeError."""
    (tmp_path / "state.pt").symlink_to("/dev/full")
    state = TrainState(params, device=torch.device("cpu"))

    with pytest.raises(OSError, match="cannot be written"):
        state.save(tmp_path)
