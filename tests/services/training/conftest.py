"""Training against real services: start it, watch its journal, look at what it leaves."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from flows.journal import Record
from flows.run_storage import RunStorage

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = (
    "preset=smoke",
    "train.slow.updates=6",
    "train.fast.updates=6",
    "train.joint.updates=6",
    "train.report_every=2",
    "cluster.cpus_per_worker=1",
)


class Training:
    """One `flows/train.py` and the run it trains; may be started again."""

    def __init__(self, services: Any, folder: Path, url: str, words: tuple[str, ...]) -> None:
        storage, _, self.name = url.rpartition("/")
        self.words = (f"cluster.storage={storage}", *words)
        self.run = RunStorage(url)
        self.out = folder / self.name
        self.folder = folder
        self.log = folder / f"{self.name}.log"
        self._services = services
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> list[str]:
        """The command line; the same each time."""
        own = (f"name={self.name}", f"out={self.out}", f"report={self.out}.json")
        return [sys.executable, "flows/train.py", *SETTINGS, *self.words, *own]

    def start(self, **environment: str) -> Training:
        """Start it on this machine, or on the first host if it has Ray workers."""
        command, more = self.command, dict(environment)
        if "cluster.num_workers=0" not in self.words:
            namespace = self._services.value("namespace.a")
            command = ["ip", "netns", "exec", namespace, *command]
            more["RAY_ADDRESS"] = f"{self._services.value('address.a')}:6379"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **more},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def once_more(self) -> subprocess.CompletedProcess[str]:
        """Run the same command to its end beside what is running."""
        return subprocess.run(self.command, cwd=ROOT, capture_output=True, text=True, timeout=100)

    def wait(self, seconds: float = 200) -> int:
        """Its exit code."""
        assert self._process is not None
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"no end within {seconds} s:\n{self.text()}") from None

    def kill(self) -> int:
        """SIGKILL it and its own children; the process id."""
        assert self._process is not None
        pid = self._process.pid
        subprocess.run(["pkill", "-KILL", "-s", str(pid)], timeout=20)
        self._process.wait(20)
        return pid

    def text(self) -> str:
        """What it has printed."""
        return self.log.read_text()

    def wait_for_text(self, words: str, seconds: float = 90) -> None:
        """Until it prints something."""
        self.wait_until(lambda: words in self.text(), f"words {words!r}", seconds)

    def wait_for_records(self, number: int, seconds: float = 120) -> Record:
        """Until so many reports are committed; the last of them."""
        self.wait_until(lambda: self.run.journal.length() >= number, f"{number} records", seconds)
        return self.run.journal.read(number)

    def wait_until(self, check: Callable[[], bool], what: str, seconds: float = 90) -> None:
        """Until something holds; it must not end before."""
        assert self._process is not None
        deadline = time.monotonic() + seconds
        while not check():
            code = self._process.poll()
            assert code is None, f"it ended with {code} before {what}:\n{self.text()}"
            assert time.monotonic() < deadline, f"no {what} within {seconds} s:\n{self.text()}"
            time.sleep(0.1)

    def tracked(self) -> Any:
        """The only run that MLflow has of it, as MLflow gives it."""
        from mlflow import MlflowClient

        client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
        experiment = client.get_experiment_by_name("mila").experiment_id
        (run,) = client.search_runs([experiment], f"tags.`run.storage` = '{self.run.url}'")
        return run

    def records(self) -> list[Record]:
        """All committed reports."""
        return list(self.run.journal.since(0))

    def next_commit(self, after: float) -> float:
        """Seconds from a moment to the next committed report."""
        return min(record.time for record in self.records() if record.time > after) - after

    def longest_pause(self) -> float:
        """Seconds between two committed reports, at most."""
        times = [record.time for record in self.records()]
        return max(later - earlier for earlier, later in pairwise(times))

    def weights(self) -> str:
        """SHA-256 of the exported weights."""
        return hashlib.sha256((self.out / "weights.pt").read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def new_training(
    services: Any, street: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Training]]:
    """Makes a training, `new_training("name", workers=2, "word=...")`; none outlives the tests."""
    folder = tmp_path_factory.mktemp("training")
    # Services that stay up keep the runs of earlier sessions, made by other sources.
    storage = f"s3://runs/{uuid.uuid4().hex[:8]}"
    made: list[Training] = []

    def make(name: str, *words: str, workers: int = 0) -> Training:
        settings = (f"data.root={street}", f"cluster.num_workers={workers}", *words)
        made.append(Training(services, folder, f"{storage}/{name}", settings))
        return made[-1]

    yield make
    for training in made:
        if training._process is not None and training._process.poll() is None:
            training.kill()


@pytest.fixture(scope="session")
def undisturbed(new_training: Callable[..., Training]) -> Training:
    """One process, nothing broken: what every disturbed run has to equal."""
    training = new_training("undisturbed").start()
    assert training.wait() == 0, training.text()
    return training


@pytest.fixture(scope="session")
def undisturbed_pair(services: Any, new_training: Callable[..., Training]) -> Training:
    """Two workers on two hosts, submitted as a job from outside, nothing broken."""
    training = new_training("undisturbed-pair", workers=2)
    command = ["bash", "infra/ray/submit.sh", *training.command]
    with training.log.open("wb") as log:
        done = subprocess.run(command, cwd=ROOT, stdout=log, stderr=log, timeout=200)
    assert done.returncode == 0, training.text()
    return training


@pytest.fixture
def sound(tmp_path: Path) -> Callable[..., str]:
    """Looks at a finished run, `sound(training, like=undisturbed)`; what was found, in words."""

    def look(training: Training, like: Training | None = None) -> str:
        loaded = _every_checkpoint_loads(training, tmp_path)
        steps = _one_run_with_each_step_once(training)
        found = f"{loaded} checkpoints load, one MLflow run with steps 1-{steps} once each"
        if like is None:
            return found
        assert _series(training) == _series(like), "the losses differ from the undisturbed run's"
        assert training.weights() == like.weights(), "the weights differ"
        return f"{found}, weights equal the undisturbed run's"

    return look


def _every_checkpoint_loads(training: Training, folder: Path) -> int:
    """Both that the journal's newest records refer to, and everything that looks complete."""
    names = training.run.checkpoints.names()
    assert {record.checkpoint for record in training.records()[-2:]} <= set(names)
    for name in names:
        training.run.checkpoints.load(name, folder / name)
        assert any((folder / name).iterdir())
    return len(names)


def _one_run_with_each_step_once(training: Training) -> int:
    """One run, finished, with one loss per update, in the order of the journal."""
    from mlflow import MlflowClient

    client, run = MlflowClient(os.environ["MLFLOW_TRACKING_URI"]), training.tracked()
    assert run.info.status == "FINISHED"
    names = [name for name in run.data.metrics if name.endswith("/train/loss")]
    points = [point for name in names for point in client.get_metric_history(run.info.run_id, name)]
    last = training.records()[-1].report["total_update"]
    assert sorted(point.step for point in points) == list(range(1, last + 1))
    known = {update: loss for record in training.records() for update, loss in _losses(record)}
    assert {point.step: point.value for point in points} == pytest.approx(known)
    return int(last)


def _losses(record: Record) -> list[tuple[int, float]]:
    """(Update over all stages, loss) of one report."""
    values = record.report["series"]["loss"]
    first = int(record.report["total_update"]) - len(values) + 1
    return list(enumerate(values, start=first))


def _series(training: Training) -> list[tuple[int, float]]:
    return [point for record in training.records() for point in _losses(record)]
