"""Faults while one process trains from S3 to S3; at most what was not committed is done twice."""

import shutil
import subprocess
import time

import pytest

pytestmark = [pytest.mark.services, pytest.mark.s3, pytest.mark.timeout(300)]


def test_undisturbed_run_ends(undisturbed, sound, note):
    records = undisturbed.records()
    note(
        "nothing, one process",
        killed="nothing",
        found=f"exit 0, {sound(undisturbed)}",
        seconds={"first to last commit": records[-1].time - records[0].time},
    )


def test_finished_run_ends_at_once(undisturbed, note):
    began = time.monotonic()
    again = undisturbed.once_more()
    seconds = time.monotonic() - began

    assert again.returncode == 0, again.stderr
    assert "is finished; nothing to train" in again.stdout
    note(
        "finished run, same command again",
        killed="nothing",
        found="exit 0, nothing trained",
        seconds={"start to end": seconds},
    )


def test_driver_is_killed_and_started_again(new_training, undisturbed, sound, note):
    training = new_training("driver-killed").start()
    training.wait_for_records(3)
    pid = training.kill()
    before, killed = training.run.journal.length(), time.time()

    assert training.start().wait() == 0, training.text()

    assert "has ended; going on from its last checkpoint" in training.text()
    note(
        "driver killed, same command again",
        killed=f"process {pid} with SIGKILL after commit {before}",
        found=f"exit 0, {sound(training, like=undisturbed)}",
        seconds={"fault to next commit": training.next_commit(killed)},
    )


def test_second_trainer_on_one_name_is_refused(new_training, undisturbed, sound, note):
    first = new_training("two-trainers").start()
    first.wait_for_records(1)

    began = time.monotonic()
    second = first.once_more()
    seconds = time.monotonic() - began

    assert second.returncode == 2, second.stdout + second.stderr
    assert "trains this run; wait for it, end it, or give another name=" in second.stderr
    assert first.wait() == 0, first.text()
    note(
        "two trainers on one name",
        killed="nothing; the same command was started a second time",
        found=f"second: exit 2 and a sentence; first: exit 0, {sound(first, like=undisturbed)}",
        seconds={"start to refusal": seconds},
    )


def test_mlflow_is_killed_for_a_while(services, new_training, undisturbed, sound, note):
    training = new_training("mlflow-killed").start()
    training.wait_for_records(2)
    pids = services.kill("mlflow")
    before, killed = training.run.journal.length(), time.time()
    training.wait_for_records(before + 4)
    services.up("mlflow")
    back = time.time()

    assert training.wait() == 0, training.text()

    assert training.longest_pause() < 10, "training waits for nobody who only keeps records"
    note(
        "MLflow server killed and back",
        killed=f"{pids} with SIGKILL after commit {before}, back {back - killed:.0f} s on",
        found=f"exit 0, {sound(training, like=undisturbed)}",
        seconds={"longest pause between commits": training.longest_pause()},
    )


def test_mlflow_stays_away_until_the_run_has_ended(
    services, new_training, undisturbed, sound, note
):
    training = new_training("mlflow-away").start()
    training.wait_for_records(2)
    pids = services.kill("mlflow")
    before, killed = training.run.journal.length(), time.time()
    first = training.wait()
    time.sleep(max(0.0, killed + 60 - time.time()))
    services.up("mlflow")
    back = time.time()

    assert training.start().wait() == 0, training.text()

    assert first == 0, training.text()
    note(
        "MLflow server away until after the end, same command again",
        killed=f"{pids} with SIGKILL after commit {before}, back {back - killed:.0f} s on",
        found=f"exit 0 both times, {sound(training, like=undisturbed)}",
        seconds={"longest pause between commits": training.longest_pause()},
    )


def test_mlflow_hangs(services, new_training, undisturbed, sound, note):
    training = new_training("mlflow-hangs").start()
    training.wait_for_records(2)
    before, stopped = training.run.journal.length(), time.time()
    with services.frozen("mlflow") as pids:
        training.wait_for_records(before + 4)
        hung = time.time() - stopped

    assert training.wait() == 0, training.text()

    assert training.longest_pause() < 10
    note(
        "MLflow server takes connections and does not answer",
        killed=f"{pids} with SIGSTOP after commit {before}, SIGCONT {hung:.0f} s on",
        found=f"exit 0, {sound(training, like=undisturbed)}",
        seconds={"longest pause between commits": training.longest_pause()},
    )


def test_postgres_is_restarted(services, new_training, undisturbed, sound, note):
    training = new_training("postgres-restarted").start()
    training.wait_for_records(2)
    stopped = time.time()
    services.down("postgres")
    training.wait_for_records(training.run.journal.length() + 2)
    services.up("postgres")
    back = time.time()

    assert training.wait() == 0, training.text()

    assert training.longest_pause() < 10
    note(
        "PostgreSQL stopped and started",
        killed=f"the database behind MLflow, away for {back - stopped:.0f} s",
        found=f"exit 0, {sound(training, like=undisturbed)}",
        seconds={"longest pause between commits": training.longest_pause()},
    )


def test_s3_is_killed_during_an_epoch(services, new_training, undisturbed, sound, note):
    training = new_training("s3-killed").start()
    training.wait_for_records(3)
    pids = services.kill("radosgw")
    killed = time.time()
    time.sleep(5)
    services.up("ceph")
    back = time.time()

    assert training.wait() == 0, training.text()

    note(
        "S3 gateway killed and back",
        killed=f"radosgw {pids} with SIGKILL, back {back - killed:.0f} s on",
        found=f"exit 0, {sound(training, like=undisturbed)}",
        seconds={"return to next commit": training.next_commit(back)},
    )


def test_quota_is_full_during_a_checkpoint(services, new_training, undisturbed, sound, note):
    bucket = ("--quota-scope=bucket", "--uid=mila", "--bucket=runs")
    training = new_training("quota-full").start()
    training.wait_for_records(3)
    services.radosgw_admin("quota", "set", *bucket, "--max-size=4096")
    services.radosgw_admin("quota", "enable", *bucket)
    try:
        first = training.wait()
    finally:
        services.radosgw_admin("quota", "disable", *bucket)
    before, text = training.run.journal.length(), training.text()
    lifted = time.time()

    again = training.start().wait()

    assert first == 1, text
    assert "QuotaExceeded" in text
    assert "in a row), going on" in text, "one failed checkpoint does not stop the run"
    told = training.tracked().data.tags["checkpoints.failed.1"]
    assert told.startswith("2, the last one: ")
    assert "QuotaExceeded" in told
    assert again == 0, training.text()
    note(
        "S3 quota full, later lifted, same command again",
        killed=f"no byte more was accepted after commit {before}",
        found="warned, also in MLflow, went on, gave up at the third checkpoint in a row: exit 1; "
        "then exit 0, " + sound(training, like=undisturbed),
        seconds={"lifted to next commit": training.next_commit(lifted)},
    )


def test_scratch_disk_is_full(new_training, undisturbed, sound, note, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(scratch)], check=True)
    try:
        training = new_training("scratch-full", "cluster.checkpoint_failures=50").start(
            TMPDIR=str(scratch)
        )
        training.wait_for_records(3)
        _fill(scratch)
        training.wait_for_text("(1 in a row), going on")
        full = time.time()
        (scratch / "filling").unlink()
        code = training.wait()
    finally:
        subprocess.run(["umount", "-l", str(scratch)], check=True)

    assert code == 0, training.text()
    note(
        "scratch disk full for one checkpoint",
        killed="the last free byte of TMPDIR was taken, later given back",
        found=f"warned, went on, exit 0, {sound(training, like=undisturbed)}",
        seconds={"fault to next commit": training.next_commit(full)},
    )


def _fill(folder) -> None:
    """Take the last free byte."""
    free = shutil.disk_usage(folder).free
    (folder / "filling").write_bytes(bytes(free))
    assert shutil.disk_usage(folder).free == 0
