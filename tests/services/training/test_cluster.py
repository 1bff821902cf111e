"""Faults while two workers train on two hosts: of processes and of disks."""

import os
import subprocess
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.cluster, pytest.mark.pair, pytest.mark.timeout(420)]

ROOT = Path(__file__).resolve().parents[3]


def test_job_on_two_hosts_ends(services, undisturbed_pair, sound, note):
    tags = undisturbed_pair.tracked().data.tags
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    assert tags["git.commit"].rstrip("+") == head.stdout.strip(), "the commit travels along"
    records = undisturbed_pair.records()
    note(
        "nothing, two workers on two hosts, as a job",
        killed="nothing",
        found=f"exit 0, {sound(undisturbed_pair)}",
        seconds={"first to last commit": records[-1].time - records[0].time},
    )


@pytest.mark.parametrize("host", ["a", "b"])
def test_worker_is_killed(services, new_training, undisturbed_pair, sound, note, host):
    training = new_training(f"worker-killed-{host}", workers=2).start()
    training.wait_for_records(3)
    (pid,) = services.workers_on(host)
    os.kill(pid, 9)
    killed = time.time()

    assert training.wait() == 0, training.text()

    note(
        f"worker killed on host {host}",
        killed=f"process {pid} with SIGKILL",
        found=f"exit 0, {sound(training, like=undisturbed_pair)}",
        seconds={"fault to next commit": training.next_commit(killed)},
    )


def test_driver_of_workers_is_killed(services, new_training, undisturbed_pair, sound, note):
    training = new_training("ray-driver-killed", workers=2).start()
    training.wait_for_records(3)
    pid = training.kill()
    killed = time.time()

    assert training.start().wait() == 0, training.text()

    note(
        "driver of two workers killed, same command again",
        killed=f"process {pid} with SIGKILL",
        found=f"exit 0, {sound(training, like=undisturbed_pair)}",
        seconds={"fault to next commit": training.next_commit(killed)},
    )


def test_scratch_of_the_workers_is_full(services, new_training, undisturbed_pair, sound, note):
    """Each commit is tried and fails until there is room; `checkpoint_failures` lets it go on."""
    training = new_training("scratch-of-workers", "cluster.checkpoint_failures=50", workers=2)
    training.start().wait_for_records(3)
    with services.full_disk("a"), services.full_disk("b"):
        training.wait_for_text("in a row), going on")
    room = time.time()

    assert training.wait(300) == 0, training.text()

    told = training.tracked().data.tags["checkpoints.failed.1"]
    assert "in a row), going on: " in told
    assert "/scratch/" in told
    note(
        "scratch disks of two workers full",
        killed="no byte was left on TMPDIR of both hosts, later given back",
        found="driver and MLflow told of it, training went on, exit 0, "
        + f"{sound(training, like=undisturbed_pair)}",
        seconds={"room to next commit": training.next_commit(room)},
    )
