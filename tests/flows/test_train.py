"""The train verb without Ray: results, repetition, refusals, and resuming after kill -9."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.journal import Journal
from flows.lease import acquire_lease
from flows.train import main
from mila.data.storage import open_storage
from mila.export import load_exported, read_settings

VERB = Path(__file__).resolve().parents[2] / "flows" / "train.py"


def results(file: str = "reports/train.json") -> dict[str, Any]:
    page: dict[str, Any] = json.loads(Path(file).read_text())
    return page


def journal(name: str) -> Journal:
    return Journal(open_storage(f"runs/{name}"))


def test_a_training_leaves_model_results_and_history(
    tiny_words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*tiny_words, "name=one"]) == 0

    page = results()
    assert page["run"] == "one"
    assert page["updates"] == 10
    assert list(page["final"]) == ["fast", "fast_alone", "joint", "slow"]
    assert [step for step, _ in page["curves"]["slow"]["loss"]] == [2, 4]
    assert "val/semseg/mean_iou" in page["final"]["joint"]
    assert load_exported("models/mila").tasks == ("semseg", "depth")
    origin = read_settings("models/mila")["origin"]
    assert origin["identity"] == page["identity"]
    assert [r.number for r in journal("one").since(0)] == [1, 2, 3, 4, 5]
    out = capsys.readouterr().out
    assert "[100 %] fast_alone 2/2" in out
    assert "clips/s" in out


def test_repeating_a_finished_training_trains_nothing(
    tiny_words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main([*tiny_words, "name=one"])
    before = results()
    capsys.readouterr()

    assert main([*tiny_words, "name=one"]) == 0

    assert "run one is finished; nothing to train" in capsys.readouterr().out
    assert results() == before
    assert journal("one").length() == 5


def test_results_that_were_deleted_are_delivered_again(tiny_words: list[str]) -> None:
    main([*tiny_words, "name=one"])
    before = results()
    for file in ("reports/train.json", "models/mila/weights.pt", "models/mila/settings.json"):
        Path(file).unlink()

    assert main([*tiny_words, "name=one"]) == 0

    assert results() == before
    assert read_settings("models/mila")["sha256"] == before["weights_sha256"]
    load_exported("models/mila")


def test_without_a_name_other_settings_get_another_run(tiny_words: list[str]) -> None:
    assert main(tiny_words) == 0
    first = results()
    assert main([*tiny_words, "train.seed=1"]) == 0
    second = results()

    assert first["run"] == f"train-{first['identity'][:10]}"
    assert second["run"] == f"train-{second['identity'][:10]}"
    assert first["run"] != second["run"]


def test_changed_settings_under_a_name_are_refused_with_the_difference(
    tiny_words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main([*tiny_words, "name=one"])
    capsys.readouterr()

    assert main([*tiny_words, "name=one", "train.seed=1", "loss.fused=0.123"]) == 2

    error = capsys.readouterr().err
    assert "train.seed: 0 -> 1" in error
    assert re.search(r"loss.fused: [0-9.]+ -> 0.123", error)
    assert len(error.strip().splitlines()) == 3


def test_settings_with_the_same_result_may_change(tiny_words: list[str]) -> None:
    main([*tiny_words, "name=one"])
    assert main([*tiny_words, "name=one", "train.report_every=4", "cluster.max_failures=9"]) == 0


def test_a_second_trainer_of_a_run_is_refused(
    tiny_words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with acquire_lease(open_storage("runs/one")):
        assert main([*tiny_words, "name=one"]) == 2
    assert f"process {os.getpid()} on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["data.root=nowhere"], "no manifest there"),
        (["name=../up"], "run name '../up'"),
        (["train.sed=1"], "did you mean train.seed?"),
        (["nmae=one"], "unknown word nmae; did you mean name?"),
        (["wait=long"], "wait=long: expected a number of seconds"),
        (["accept=all"], "expected accept=sources"),
        (["train.slow.updates=0", "train.fast.updates=0", "train.joint.updates=0"], "nothing to"),
        (["train.start_from=nowhere"], "nowhere"),
        (["cluster.use_gpu=true"], "expected a CUDA device"),
        (["train.slow.batch_size=400"], "do not fill one batch of 400"),
    ],
)
def test_bad_input_gets_one_sentence_and_exit_code_2(
    tiny_words: list[str], capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main([*tiny_words, *words]) == 2

    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.strip().splitlines()) == 1
    assert not Path("models").exists()


LONG = ["train.slow.updates=60"]


def test_a_training_killed_twice_ends_like_one_never_killed(
    tiny_words: list[str], wait_for: Callable[..., None]
) -> None:
    assert main([*tiny_words, *LONG, "name=whole", "report=whole.json", "out=whole"]) == 0
    for reports in (3, 12):
        process = subprocess.Popen([sys.executable, VERB, *tiny_words, *LONG, "name=parts"])
        try:
            wait_for(lambda n=reports: journal("parts").length() >= n, timeout_s=60)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(10)

    assert journal("parts").length() < journal("whole").length()
    assert main([*tiny_words, *LONG, "name=parts"]) == 0

    whole, parts = results("whole.json"), results()
    assert parts["weights_sha256"] == whole["weights_sha256"]
    assert parts["curves"] == whole["curves"]
    assert parts["final"] == whole["final"]
    attempts = {record.attempt for record in journal("parts").since(0)}
    assert len(attempts) == 3


def test_a_run_recorded_by_mlflow_has_each_step_once_and_a_model(
    tiny_words: list[str], mlflow_uri: str
) -> None:
    import mlflow

    words = [*tiny_words, "tracking.enabled=true", "name=one"]
    assert main(words) == 0
    assert main(words) == 0

    client = mlflow.MlflowClient(mlflow_uri)
    (experiment,) = [e for e in client.search_experiments() if e.name == "mila"]
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_id == results()["mlflow_run_id"]
    assert run.info.status == "FINISHED"
    assert run.data.params["train.slow.updates"] == "4"
    assert run.data.tags["content.data.root"] == results()["data"]
    assert run.data.tags["run.identity"] == results()["identity"]
    steps = [p.step for p in client.get_metric_history(run.info.run_id, "slow/train/loss")]
    assert sorted(steps) == [1, 2, 3, 4]
    assert "final/joint/semseg/mean_iou" in run.data.metrics
    assert len(client.search_model_versions("name='mila'")) == 1


def test_storage_on_s3_holds_the_whole_run(tiny_words: list[str], s3_environment: str) -> None:
    words = [*tiny_words, "name=one", f"cluster.storage={s3_environment}/runs"]
    assert main(words) == 0
    assert main([*tiny_words, "name=local", "report=local.json"]) == 0

    assert results()["weights_sha256"] == results("local.json")["weights_sha256"]
    names = [entry.name for entry in open_storage(f"{s3_environment}/runs/one").list("")]
    assert sum(name.endswith("manifest.json") for name in names) == 2
    assert sum(name.startswith("journal/") for name in names) == 5
    assert not Path("runs/one").exists()


def test_help_is_quick_and_names_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help"]) == 0
    assert "python flows/train.py data.root=data/street" in capsys.readouterr().out
