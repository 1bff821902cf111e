"""The storage of the clips goes away while two workers on two hosts read them."""

import time

import pytest

pytestmark = [pytest.mark.cluster, pytest.mark.pair, pytest.mark.s3, pytest.mark.timeout(420)]


def test_s3_is_killed_while_two_workers_read(services, new_training, undisturbed_pair, sound, note):
    """In the middle of an epoch, with loader processes of their own: the same batches come."""
    training = new_training("s3-killed-readers", "data.loader_workers=1", workers=2).start()
    training.wait_for_records(3)
    before = training.run.journal.length()
    pids = services.kill("radosgw")
    killed = time.time()
    time.sleep(8)
    services.up("ceph")
    back = time.time()

    assert training.wait(300) == 0, training.text()

    records = training.records()
    assert records[-1].attempt == records[0].attempt, "no worker was started anew"
    waited = max(record.report["wait_share"] for record in records)
    note(
        "S3 gateway killed while two workers read clips, and back",
        killed=f"radosgw {pids} with SIGKILL after commit {before}, back {back - killed:.0f} s on",
        found=f"clips were waited for {waited:.0%} of a report's time, no worker was started anew, "
        f"exit 0, {sound(training, like=undisturbed_pair)}",
        seconds={
            "longest pause between commits": training.longest_pause(),
            "return to next commit": training.next_commit(back),
        },
    )
