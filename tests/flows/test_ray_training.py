"""Training on Ray: workers die, the run ends with the weights of one that was never disturbed.

One local Ray serves the module; nodes that come and go are in `make services-test`.
"""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows.journal import Journal
from flows.train import main
from mila.data.storage import open_storage

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

LONG = ["train.slow.updates=40"]


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """A Ray in this process."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        from flows.cluster import set_environment
        from mila.identity import ROOT

        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
        patch.setenv("PYTHONPATH", str(ROOT))
        set_environment()
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


def results(file: str) -> dict[str, Any]:
    page: dict[str, Any] = json.loads(Path(file).read_text())
    return page


def journal(name: str) -> Journal:
    return Journal(open_storage(f"runs/{name}"))


def train_workers() -> list[psutil.Process]:
    """Ray's training processes below this one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if any("RayTrainWorker" in part for part in process.cmdline()):
                found.append(process)
        except psutil.Error:  # ended while we looked
            continue
    return found


def kill_a_worker_after(name: str, reports: int, wait_for: Callable[..., None]) -> None:
    wait_for(lambda: journal(name).length() >= reports, timeout_s=150)
    victims = train_workers()
    assert victims, "no training process was found to kill"
    victims[0].kill()


def test_a_killed_worker_costs_time_but_no_bit_of_the_result(
    local_ray: None, tiny_words: list[str], wait_for: Callable[..., None]
) -> None:
    assert main([*tiny_words, *LONG, "name=plain", "report=plain.json", "out=plain"]) == 0
    words = [*tiny_words, *LONG, "cluster.num_workers=1", "report=ray.json", "out=ray"]
    killer = threading.Thread(target=kill_a_worker_after, args=("ray", 2, wait_for))
    killer.start()

    assert main([*words, "name=ray"]) == 0

    killer.join(10)
    assert not killer.is_alive()
    plain, ray = results("plain.json"), results("ray.json")
    assert ray["weights_sha256"] == plain["weights_sha256"]
    assert ray["curves"] == plain["curves"]
    assert journal("ray").length() == journal("plain").length()


def test_failed_checkpoints_of_workers_are_told_at_the_driver(
    local_ray: None, tiny_words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A file where the folder of checkpoints should be; the run gives up at the third failure."""
    Path("runs/blocked").mkdir(parents=True)
    Path("runs/blocked/checkpoints").write_text("in the way")
    words = ["cluster.num_workers=1", "cluster.checkpoint_failures=2", "cluster.max_failures=0"]

    assert main([*tiny_words, *LONG, *words, "name=blocked"]) == 1

    said = capsys.readouterr()
    told = [line for line in said.out.splitlines() if "in a row), going on: " in line]
    assert [line.split(" failed ")[1][:8] for line in told] == ["(1 in a ", "(2 in a "]
    assert "training failed: " in said.err


@pytest.mark.slow
def test_with_two_workers_either_may_die_and_no_bit_changes(
    local_ray: None, tiny_words: list[str], wait_for: Callable[..., None]
) -> None:
    words = [*tiny_words, *LONG, "cluster.num_workers=2"]
    assert main([*words, "name=whole", "report=whole.json", "out=whole"]) == 0
    killer = threading.Thread(target=kill_a_worker_after, args=("parts", 2, wait_for))
    killer.start()

    assert main([*words, "name=parts", "report=parts.json", "out=parts"]) == 0

    killer.join(10)
    whole, parts = results("whole.json"), results("parts.json")
    assert parts["curves"] == whole["curves"]
    assert parts["weights_sha256"] == whole["weights_sha256"]


@pytest.mark.slow
def test_bad_data_is_named_and_not_tried_again(
    local_ray: None,
    tiny_words: list[str],
    tiny_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_data, damaged)
    shard = damaged / "shards" / "train-00000.tar"
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])

    words = [*tiny_words[:1], f"data.root={damaged}", "cluster.num_workers=1", "name=bad"]
    assert main(words) == 2

    error = capsys.readouterr().err
    assert "train-00000.tar" in error
    assert len(error.strip().splitlines()) == 1
