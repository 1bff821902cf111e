"""The lease: one live trainer per run, dead and silent ones are replaced, races have one winner."""

import multiprocessing
import os
import signal
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from flows.journal import TakenOverError
from flows.lease import LeaseHeldError, Timing, acquire_lease, check_lease
from mila.data.storage import Storage, open_storage

FAST = Timing(beat_every_s=0.1, stale_after_s=1.0)


def test_a_second_trainer_is_refused_until_the_first_ends(storage: Storage) -> None:
    with acquire_lease(storage, timing=FAST) as first:
        with pytest.raises(LeaseHeldError, match=rf"process {os.getpid()} on .* trains this run"):
            acquire_lease(storage, timing=FAST)
        check_lease(storage, first.generation)

    with acquire_lease(storage, timing=FAST) as second:
        assert second.generation == first.generation + 1
        with pytest.raises(TakenOverError, match="took this run over"):
            check_lease(storage, first.generation)


def test_a_waiting_trainer_starts_when_the_first_ends(storage: Storage) -> None:
    said: list[str] = []
    first = acquire_lease(storage, timing=FAST)
    with pytest.raises(LeaseHeldError):
        acquire_lease(storage, timing=FAST, wait_s=0.3, say=said.append)
    first.release()

    acquire_lease(storage, timing=FAST, wait_s=5.0).release()

    assert len(said) == 1
    assert "waiting for it to end" in said[0]


def hold_forever(folder: str) -> None:
    acquire_lease(open_storage(folder), timing=FAST)
    time.sleep(60)


def test_a_killed_trainer_is_replaced_at_once(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=hold_forever, args=(str(tmp_path),))
    process.start()
    wait_for(lambda: any(e.name.endswith("beat") for e in storage.list("lease/")))
    with pytest.raises(LeaseHeldError):
        acquire_lease(storage, timing=FAST)

    os.kill(process.pid or 0, signal.SIGKILL)
    process.join(10)
    said: list[str] = []
    acquire_lease(storage, timing=Timing(0.1, stale_after_s=60.0), say=said.append).release()

    assert "has ended; going on from its last checkpoint" in said[0]


def far_away(storage: Storage, generation: int) -> None:
    """Make a lease look like one of another machine: its process cannot be asked."""
    name = f"lease/{generation:08d}.holder"
    storage.put(name, storage.read(name).replace(b'"place": "', b'"place": "elsewhere '))


def test_a_remote_trainer_counts_as_live_while_its_heartbeat_moves(storage: Storage) -> None:
    with acquire_lease(storage, timing=FAST) as lease:
        far_away(storage, lease.generation)
        with pytest.raises(LeaseHeldError):
            acquire_lease(storage, timing=FAST)


def test_a_silent_remote_trainer_is_replaced_after_the_stated_time(storage: Storage) -> None:
    acquire_lease(storage, timing=FAST).release()
    storage.delete("lease/00000001.end")  # as if it had been cut off, not ended
    far_away(storage, 1)
    began = time.monotonic()
    said: list[str] = []

    lease = acquire_lease(storage, timing=FAST, say=said.append)

    lease.release()
    assert lease.generation == 2
    assert time.monotonic() - began >= FAST.stale_after_s
    assert "silent for 1 s" in said[0]


def race(folder: str, together: Barrier, results: "Queue[str]") -> None:
    together.wait(60)
    try:
        lease = acquire_lease(open_storage(folder), timing=FAST)
    except LeaseHeldError:
        results.put("refused")
    else:
        results.put("won")
        time.sleep(3)
        lease.release()


def test_of_two_processes_that_start_at_once_one_wins(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    together = context.Barrier(2)
    processes = [
        context.Process(target=race, args=(str(tmp_path), together, results)) for _ in range(2)
    ]
    for process in processes:
        process.start()
    outcome = sorted(results.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(30)

    assert outcome == ["refused", "won"]


def test_old_generations_are_forgotten(storage: Storage) -> None:
    for _ in range(4):
        acquire_lease(storage, timing=FAST).release()

    generations = {entry.name[len("lease/") :][:8] for entry in storage.list("lease/")}
    assert generations == {"00000003", "00000004"}


def wait_for(condition: object, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
