"""Faults while two workers train on two hosts."""

import os
import subprocess
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.cluster, pytest.mark.pair, pytest.mark.timeout(420)]

ROOT = Path(__file__).resolve().parents[3]


def workers_on(services, host: str) -> list[int]:
    """Processes of Ray Train's workers on a host."""
    return [pid for pid in services.pids_on(host) if "RayTrainWorker" in _title(pid)]


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


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
    (pid,) = workers_on(services, host)
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


def test_node_is_killed_and_returns(services, new_training, undisturbed_pair, sound, note):
    training = new_training("node-killed", workers=2).start()
    training.wait_for_records(3)
    pids = services.kill_host("b")
    killed = time.time()
    time.sleep(5)
    services.up("ray")
    back = time.time()

    assert training.wait(300) == 0, training.text()

    note(
        "node killed and back",
        killed=f"all {len(pids)} processes of host b with SIGKILL, back {back - killed:.0f} s on",
        found=f"exit 0, {sound(training, like=undisturbed_pair)}",
        seconds={
            "fault to next commit": training.next_commit(killed),
            "return to next commit": training.next_commit(back),
        },
    )


def test_link_is_down_for_half_a_minute(services, new_training, undisturbed_pair, sound, note):
    training = new_training("link-down", workers=2).start()
    training.wait_for_records(3)
    services.link("b", "down")
    down = time.time()
    try:
        time.sleep(30)
    finally:
        services.link("b", "up")
    back = time.time()
    time.sleep(5)  # a node that was given up ends by itself when it hears of it
    services.up("ray")

    assert training.wait(300) == 0, training.text()

    note(
        "link down for 30 s",
        killed="the cable of host b",
        found=f"exit 0, {sound(training, like=undisturbed_pair)}",
        seconds={
            "fault to next commit": training.next_commit(down),
            "return to next commit": training.next_commit(back),
        },
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


def test_node_is_lost_and_the_run_shrinks(services, new_training, sound, note):
    training = new_training("node-lost", "cluster.min_workers=1", workers=2).start()
    training.wait_for_records(3)
    pids = services.kill_host("b")
    killed = time.time()
    try:
        code = training.wait(300)
    finally:
        services.up("ray")

    assert code == 0, training.text()
    note(
        "node lost for good, min_workers=1",
        killed=f"all {len(pids)} processes of host b with SIGKILL, not started again",
        found=f"exit 0 with one worker, {sound(training)}",
        seconds={"fault to next commit": training.next_commit(killed)},
    )


def test_node_gives_notice_and_the_run_shrinks(services, new_training, sound, note):
    """As a spot machine does: its worker leaves after a commit, before the machine goes."""
    node = services.ray_node("b")
    # The notice takes seconds to arrive.
    words = ("cluster.min_workers=1", "train.joint.updates=24")
    training = new_training("notice", *words, workers=2).start()
    training.wait_for_records(3)
    assert workers_on(services, "b")
    told = time.time()
    services.give_notice(node, seconds=60)
    try:
        training.wait_until(lambda: not workers_on(services, "b"), "leaving of host b")
        left = time.time()
        pids = services.kill_host("b")
        code = training.wait(300)
    finally:
        services.kill_host("b")
        services.up("ray")

    assert code == 0, training.text()
    tags = training.tracked().data.tags
    assert not [name for name in tags if name.startswith("failure.")], "nobody's end was a failure"
    note(
        "node gives notice, then goes for good, min_workers=1",
        killed=f"host b said it would go; {left - told:.0f} s later its worker had left and its "
        f"{len(pids)} processes got SIGKILL",
        found=f"no worker failed, exit 0 with one worker, {sound(training)}",
        seconds={"notice to next commit with one worker": training.next_commit(left) + left - told},
    )
