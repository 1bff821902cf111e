"""A host of a training of two is killed, cut off, lost, taken away with notice."""

import time

import pytest

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]


@pytest.mark.pair
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


@pytest.mark.pair
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


@pytest.mark.pair
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
    assert services.workers_on("b")
    told = time.time()
    services.give_notice(node, seconds=60)
    try:
        training.wait_until(lambda: not services.workers_on("b"), "leaving of host b")
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
