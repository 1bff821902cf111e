"""flows/tune.py as a user calls it: a tiny grid on a local Ray, once."""

import json
from pathlib import Path

import pytest

from flows.train import main as train
from flows.tune import main as tune
from flows.tuner import keep_keys_home
from mila.data.manifest import Manifest


@pytest.fixture
def words(tmp_path: Path, make_clip, make_shards) -> list[str]:
    keys = ("train-00", "train-01", "train-02", "train-03", "val-00")
    clips = [make_clip(key, frames=4, height=48, width=96) for key in keys]
    assert isinstance(make_shards(tmp_path / "data", clips), Manifest)
    return [
        "preset=smoke",
        f"data.root={tmp_path / 'data'}",
        f"cluster.storage={tmp_path / 'runs'}",
        "tracking.enabled=false",
        *(f"train.{stage}.updates=1" for stage in ("slow", "fast", "joint")),
    ]


@pytest.fixture
def model(words: list[str], tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    report = f"report={tmp_path / 'train.json'}"
    assert train([*words, f"out={folder}", report, "cluster.num_workers=0"]) == 0
    return folder


def test_a_damaged_or_missing_model_is_refused_before_anything_starts(words, tmp_path, capsys):
    assert tune([*words, f"model={tmp_path / 'none'}", f"out={tmp_path / 'sweep.json'}"]) == 2
    assert str(tmp_path / "none") in capsys.readouterr().err
    assert not (tmp_path / "sweep.json").exists()


def test_keys_of_the_driver_are_not_sent_to_trials(monkeypatch):
    from ray.tune.execution import class_cache

    monkeypatch.setattr(class_cache, "ENV_VARS_TO_PROPAGATE", class_cache.ENV_VARS_TO_PROPAGATE)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for the logs")

    keep_keys_home()

    made = class_cache._ActorClassCache().get(type("Trial", (), {}))
    assert "PL_DISABLE_FORK" in made._default_options["runtime_env"]["env_vars"], "we look in vain"
    assert "not for the logs" not in str(made._default_options)


@pytest.mark.ray
def test_a_sweep_has_a_row_per_trial_and_a_finished_one_returns_at_once(
    words, model, tmp_path, capsys, monkeypatch
):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    out = tmp_path / "sweep.json"
    grid = ["sweep.keyframe_intervals=[2,3]", "sweep.radii=[1]", "sweep.updates=2"]
    order = [*words, *grid, f"model={model}", f"out={out}"]
    assert tune(order) == 0
    page = json.loads(out.read_text())
    rows = {row["keyframe_interval"]: row for row in page["trials"]}
    assert set(rows) == {2, 3}
    assert all(row["status"] == "finished" and row["updates"] == 2 for row in rows.values())
    assert rows[3]["gmac_per_frame"] < rows[2]["gmac_per_frame"]
    assert 0 <= rows[2]["val/semseg/mean_iou"] <= 1
    assert page["best"]["3"] == rows[3]

    out.unlink()
    capsys.readouterr()
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # whoever asks for Ray now is refused
    assert tune(order) == 0
    assert "finished" in capsys.readouterr().out
    assert json.loads(out.read_text()) == page
