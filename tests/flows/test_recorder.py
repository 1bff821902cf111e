"""The recorder: journal first, tracking behind, never waiting for it."""

import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from flows.journal import Journal, TakenOverError
from flows.lease import Lease, acquire_lease
from flows.recorder import Recorder
from flows.tracked_run import NullRun
from mila.data.storage import Storage, open_storage


class FakeService(NullRun):
    """A tracking service that can be away; remembers what arrived."""

    def __init__(self) -> None:
        self.away = False
        self.pause_s = 0.0
        self.numbers: list[int] = []
        self.marks: dict[str, str] = {}

    def send(self, journal: Journal) -> bool:
        time.sleep(self.pause_s)
        if not self.away:
            self.numbers += [r.number for r in journal.since(len(self.numbers))]
        return not self.away

    def tags(self, tags: Mapping[str, str]) -> None:
        self.marks.update(tags)


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def away(service: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service is away until the test says otherwise; the recorder soon tries again."""
    monkeypatch.setattr("flows.recorder._FIRST_PAUSE_S", 0.1)
    service.away = True


@pytest.fixture
def place(tmp_path: Path) -> Storage:
    return open_storage(tmp_path / "run")


@pytest.fixture
def lease(place: Storage) -> Iterator[Lease]:
    with acquire_lease(place) as held:
        yield held


@pytest.fixture
def recorder(place: Storage, lease: Lease, service: FakeService) -> Iterator[Recorder]:
    made = Recorder(place, service, attempt=lease.generation)
    yield made
    made.close(5.0)


def test_records_reach_the_journal_and_then_the_service(
    recorder: Recorder, place: Storage, service: FakeService, wait_for: Callable[..., None]
) -> None:
    for update in (2, 4, 6):
        recorder.record({"total_update": update}, f"checkpoint-{update}")

    wait_for(lambda: service.numbers == [1, 2, 3])
    assert [r.checkpoint for r in Journal(place).since(0)][-1] == "checkpoint-6"


def test_training_does_not_wait_for_a_slow_service(
    recorder: Recorder, service: FakeService
) -> None:
    service.pause_s = 3.0
    began = time.monotonic()
    for update in (2, 4, 6):
        recorder.record({"total_update": update}, "x")

    assert time.monotonic() - began < 2.0


@pytest.mark.usefixtures("away")
def test_a_service_that_returns_gets_everything_in_order(
    recorder: Recorder, service: FakeService, wait_for: Callable[..., None]
) -> None:
    for update in (2, 4, 6):
        recorder.record({"total_update": update}, "x")
    time.sleep(0.3)
    assert service.numbers == []

    service.away = False
    wait_for(lambda: service.numbers == [1, 2, 3])


def test_a_trainer_that_lost_its_lease_commits_nothing_more(
    recorder: Recorder, lease: Lease, place: Storage
) -> None:
    recorder.record({"total_update": 2}, "x")
    lease.release()
    with acquire_lease(place), pytest.raises(TakenOverError, match="took this run over"):
        recorder.record({"total_update": 4}, "y")
    assert Journal(place).length() == 1


def test_causes_of_failures_become_tags(
    recorder: Recorder, service: FakeService, wait_for: Callable[..., None]
) -> None:
    recorder.failed("Traceback ...\nValueError: shard 3 is short")
    wait_for(lambda: service.marks == {"failure.1.1": "ValueError: shard 3 is short"})

    recorder.failed("worker gone")

    wait_for(lambda: service.marks.get("failure.1.2") == "worker gone")
    assert service.marks["failure.1.1"] == "ValueError: shard 3 is short"


@pytest.mark.usefixtures("away")
def test_causes_of_failures_wait_for_a_service_that_is_away(
    recorder: Recorder, service: FakeService, wait_for: Callable[..., None]
) -> None:
    recorder.failed("worker gone")
    time.sleep(0.3)
    assert service.marks == {}

    service.away = False

    wait_for(lambda: service.marks == {"failure.1.1": "worker gone"})


def test_the_controller_gets_a_copy_that_works(recorder: Recorder, place: Storage) -> None:
    recorder.record({"total_update": 2}, "x")  # its thread runs now

    copy = pickle.loads(pickle.dumps(recorder))
    copy.record({"total_update": 4}, "y")
    copy.close(5.0)

    assert Journal(place).length() == 2


@pytest.mark.usefixtures("away")
def test_failed_checkpoints_are_counted_by_a_tag(
    recorder: Recorder, service: FakeService, wait_for: Callable[..., None]
) -> None:
    """Also where the journal cannot be sent, because it lies on the storage that fails."""
    recorder.warned("checkpoint a failed (1 in a row), going on: quota exceeded")
    recorder.warned("checkpoint b failed (2 in a row), going on: quota exceeded")

    told = "2, the last one: checkpoint b failed (2 in a row), going on: quota exceeded"
    wait_for(lambda: service.marks.get("checkpoints.failed.1") == told)
    service.marks.clear()
    service.away = False
    wait_for(lambda: service.marks == {"checkpoints.failed.1": told})
