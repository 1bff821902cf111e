"""The evaluate verb on tiny shards, and on input that does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from flows.evaluate import main


@pytest.fixture
def street(tmp_path: Path, make_clip: Callable, make_shards: Callable) -> Path:
    folder = tmp_path / "street"
    clips = [make_clip(f"test-{i:02d}", frames=6, height=32, width=48) for i in range(3)]
    make_shards(folder, clips)
    return folder


@pytest.fixture
def words(street: Path, exported_model: Path, tmp_path: Path) -> list[str]:
    return [
        f"data.root={street}",
        f"model={exported_model}",
        f"out={tmp_path / 'reports' / 'metrics.json'}",
        "evaluation.intervals=[1,2,3,9]",
        "evaluation.keyframe_interval=3",
        "evaluation.latency_frames=7",
        "tracking.enabled=false",
    ]


def test_results_and_pictures_are_written(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0

    page = json.loads((tmp_path / "reports" / "metrics.json").read_text())
    assert page["keyframe_interval"] == 3
    assert set(page["methods"]) == {"slow", "fast", "copy", "mila"}
    assert page["scored"]["frames"] == {"1": 3, "2": 3, "3": 3}
    assert "interval 9 needs" in page["notes"][0]
    assert len(page["latency"]["trace"]) == 7
    assert page["size"] == {"height": 32, "width": 48}
    assert len(page["data"]["fingerprint"]) == len(page["model"]["sha256"]) == 64
    assert page["command"].startswith("python flows/evaluate.py data.root=")
    assert page["consistency"]["mila"].keys() == {"semseg/consistency", "depth/log_change"}
    index = json.loads((tmp_path / "reports" / "evaluation" / "index.json").read_text())
    assert len(index) == 3 * (2 + 1)
    for panel in index:
        for tile in panel["tiles"]:
            picture = cv2.imread(str(tmp_path / "reports" / "evaluation" / tile["file"]))
            assert picture.shape == (32, 48, 3)
    assert "fewer GMAC than slow" in capsys.readouterr().out


def test_twice_the_same_accuracy_and_the_same_pictures(words: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    assert main(words) == 0
    first = json.loads((folder / "metrics.json").read_text())
    pictures = {p.name: p.read_bytes() for p in (folder / "evaluation").iterdir()}

    assert main(words) == 0

    second = json.loads((folder / "metrics.json").read_text())
    assert second["offsets"] == first["offsets"]
    assert {p.name: p.read_bytes() for p in (folder / "evaluation").iterdir()} == pictures


def test_the_evaluation_is_recorded(words: list[str], tmp_path: Path, mlflow_uri: str) -> None:
    from mlflow import MlflowClient

    assert main([*words, "tracking.enabled=true"]) == 0

    page = json.loads((tmp_path / "reports" / "metrics.json").read_text())
    client = MlflowClient(mlflow_uri)
    run = client.get_run(page["mlflow_run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.tags["run.kind"] == "evaluate"
    mila = page["methods"]["mila"]
    assert run.data.metrics["test/mila/semseg/mean_iou"] == mila["semseg/mean_iou"]
    assert run.data.metrics["gmac_saved"] == page["gmac_saved"]
    history = client.get_metric_history(run.info.run_id, "test/mila/by_offset/depth")
    by_offset = {point.step: point.value for point in history}
    assert by_offset == {o: f["depth/abs_rel"] for o, f in enumerate(page["offsets"]["mila"])}
    kept = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"metrics.json", "panels.png"} <= kept


def test_delta_m_refers_to_single_task_pages(words: list[str], tmp_path: Path) -> None:
    assert main(words) == 0
    page = tmp_path / "reports" / "metrics.json"
    single = tmp_path / "single.json"
    single.write_text(page.read_text())

    assert main([*words, f"single_task={single}"]) == 0

    assert json.loads(page.read_text())["methods"]["slow"]["delta_m"] == pytest.approx(0)


@pytest.mark.parametrize(
    "word, sentence",
    [
        ("model=/nowhere", "/nowhere: no exported model here"),
        ("data.root=/nowhere", "/nowhere"),
        ("evaluation.split=val", "split val has no clips"),
        ("evaluation.keyframe_interval=8", "interval 8 needs a labelled frame with 7 frames"),
        ("single_task=/nowhere.json", "/nowhere.json: no page of results there"),
        ("evaluation.keyframe_intervall=3", "did you mean evaluation.keyframe_interval?"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(
    word: str,
    sentence: str,
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*words, word]) == 2

    error = capsys.readouterr().err.splitlines()[-1]
    assert sentence in error
    assert not (tmp_path / "reports").exists()


def test_labels_of_another_set_are_refused(
    words: list[str],
    street: Path,
    make_clip: Callable,
    make_shards: Callable,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = tmp_path / "camvid"
    make_shards(other, [make_clip("test-00", frames=6, height=32, width=48, label_set="camvid")])

    assert main([*words, f"data.root={other}"]) == 2

    assert "has labels of set camvid, the model predicts cityscapes" in capsys.readouterr().err


def test_sparse_labels_are_enough(
    words: list[str], make_clip: Callable, make_shards: Callable, tmp_path: Path
) -> None:
    clip = make_clip("test-00", frames=6, height=32, width=48, normals=None, flow=None)
    clip.semseg[:] = 255
    clip.semseg[4, 5:20, 5:20] = 3
    clip.depth[:] = 0
    make_shards(tmp_path / "sparse", [clip])

    assert main([*words, f"data.root={tmp_path / 'sparse'}"]) == 0

    page = json.loads((tmp_path / "reports" / "metrics.json").read_text())
    assert page["scored"]["frames"]["3"] == 1
    assert "depth/abs_rel" not in page["methods"]["mila"]
    assert page["consistency"] == {"truth": {}, "slow": {}, "mila": {}, "mila_refresh": {}}


def test_adaptive_schedules_stand_beside_fixed_ones(
    words: list[str], make_clip: Callable, make_shards: Callable, tmp_path: Path
) -> None:
    root = tmp_path / "both"
    keys = ("test-00", "val-00")
    make_shards(root, [make_clip(key, frames=6, height=32, width=48) for key in keys])

    assert main([*words, f"data.root={root}", "adaptive=0,0.5"]) == 0

    rows = json.loads((tmp_path / "reports" / "metrics.json").read_text())["schedules"]
    assert [row["schedule"] for row in rows] == ["fixed"] * 3 + ["adaptive"] * 2
    assert all(0 < row["gmac_per_frame"] for row in rows)
    assert main([*words, "adaptive=2"]) == 2


def test_exact_flow_is_evaluated_like_the_others(
    words: list[str], exported_model: Path, tmp_path: Path
) -> None:
    from mila.config import ModelSettings
    from mila.export import export_model, read_settings
    from mila.model import build_model

    tree = read_settings(exported_model)["model"]
    tree["propagation"]["kind"] = "exact_flow"
    export_model(build_model(ModelSettings.model_validate(tree)), tmp_path / "flow", origin={})

    assert main([*words, f"model={tmp_path / 'flow'}"]) == 0
