"""A run's storage: bound to one identity, restored from the journal, patient when it fails."""

from dataclasses import asdict
from pathlib import Path

import pytest

from flows.run_storage import Keeper, RunStorage, Stored
from mila.config import ClusterSettings
from mila.data.storage import StorageError
from mila.identity import Identity
from mila.training.context import Report


class Counter:
    """A state that is one number."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def save(self, folder: Path) -> None:
        (folder / "value").write_text(str(self.value))

    def load(self, folder: Path) -> None:
        self.value = int((folder / "value").read_text())


def report(update: int, *, last: bool = False) -> Report:
    series = {"loss": [float(update - 1), float(update)]}
    return Report("slow", update, update, 100, {"loss": 0.5}, series, last=last)


def keeper_of(run: RunStorage, *, tolerate: int = 0, keep: int = 9) -> Keeper:
    """A keeper whose warnings nobody hears beside the log."""
    cluster = ClusterSettings(checkpoint_failures=tolerate, keep_checkpoints=keep)
    return Keeper(run, cluster, warn=lambda _: None)


def register(run: RunStorage, stored: Stored) -> None:
    run.journal.append(asdict(stored.report), checkpoint=stored.checkpoint, attempt=1)


def commit(run: RunStorage, value: int) -> None:
    stored = keeper_of(run).store(report(value), Counter(value))
    assert stored is not None
    register(run, stored)


@pytest.fixture
def run(tmp_path: Path) -> RunStorage:
    return RunStorage(str(tmp_path / "run"))


def test_restored_is_what_was_committed_last(run: RunStorage) -> None:
    state = Counter()
    assert run.restore(state) is None

    commit(run, 2)
    commit(run, 4)
    keeper_of(run).store(report(6), Counter(6))  # stored, but never registered
    restored = run.restore(state)

    assert state.value == 4
    assert restored is not None
    assert restored.report["total_update"] == 4


def test_a_run_is_finished_when_its_last_report_is_committed(run: RunStorage) -> None:
    assert not run.finished()
    commit(run, 2)
    assert not run.finished()
    run.journal.append(asdict(report(4, last=True)), checkpoint="x", attempt=1)
    assert run.finished()


def test_only_the_newest_checkpoints_are_kept(run: RunStorage) -> None:
    for value in (2, 4, 6):
        commit(run, value)
    keeper_of(run).store(report(8), Counter(8))

    run.keep_newest(2)

    assert [name[:8] for name in run.checkpoints.names()] == ["00000004", "00000006"]
    state = Counter()
    run.restore(state)
    assert state.value == 6


def break_uploads(run: RunStorage, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    put, left = run.storage.put, [times]

    def failing(name: str, data: bytes) -> None:
        if left[0] > 0 and name.startswith("checkpoints/"):
            left[0] -= 1
            raise StorageError("quota exceeded")
        put(name, data)

    monkeypatch.setattr(run.storage, "put", failing)


def test_training_goes_on_while_few_checkpoints_fail_and_loses_no_number(
    run: RunStorage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    break_uploads(run, monkeypatch, times=2)
    heard: list[str] = []
    keeper = Keeper(run, ClusterSettings(checkpoint_failures=2), warn=heard.append)

    assert keeper.store(report(2), Counter(2)) is None
    assert keeper.store(report(4), Counter(4)) is None
    stored = keeper.store(report(6), Counter(6))

    assert stored is not None
    assert stored.report.series == {"loss": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    assert stored.report.total_update == 6
    assert [text.split(" failed ")[1] for text in heard] == [
        "(1 in a row), going on: quota exceeded",
        "(2 in a row), going on: quota exceeded",
    ]
    assert all(text in caplog.text for text in heard)
    assert keeper.confirm(stored, lambda: register(run, stored))
    again = keeper.store(report(8), Counter(8))
    assert again is not None
    assert again.report.series == {"loss": [7.0, 8.0]}


def refuse() -> None:
    """A journal that cannot be written."""
    raise StorageError("quota exceeded")


def test_a_checkpoint_that_cannot_be_registered_has_failed(run: RunStorage) -> None:
    keeper = keeper_of(run, tolerate=1)
    first = keeper.store(report(2), Counter(2))
    assert first is not None

    assert not keeper.confirm(first, refuse)
    second = keeper.store(report(4), Counter(4))

    assert second is not None
    assert second.report.series == {"loss": [1.0, 2.0, 3.0, 4.0]}, "nothing is lost"
    with pytest.raises(StorageError, match="quota exceeded"):
        keeper.confirm(second, refuse)


def test_a_record_that_was_written_although_its_answer_was_lost_stands_once(
    run: RunStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = keeper_of(run, tolerate=3)

    def written_but_unheard_of(stored: Stored) -> None:
        register(run, stored)
        refuse()

    first = keeper.store(report(2), Counter(2))
    assert first is not None
    assert not keeper.confirm(first, lambda: written_but_unheard_of(first))
    with monkeypatch.context() as patch:
        break_uploads(run, patch, times=1)
        assert keeper.store(report(4), Counter(4)) is None
    third = keeper.store(report(6), Counter(6))

    assert third is not None
    assert third.report.series == {"loss": [3.0, 4.0, 5.0, 6.0]}


def test_checkpoints_that_cannot_be_deleted_now_go_next_time(
    run: RunStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = keeper_of(run, keep=1)

    def step(value: int) -> None:
        stored = keeper.store(report(value), Counter(value))
        assert stored is not None
        assert keeper.confirm(stored, lambda: register(run, stored))

    step(2)
    with monkeypatch.context() as patch:
        patch.setattr(run.storage, "delete", lambda name: refuse())
        step(4)
    assert len(run.checkpoints.names()) == 2
    step(6)

    assert [name[:8] for name in run.checkpoints.names()] == ["00000006"]


def test_too_many_failed_checkpoints_in_a_row_stop_the_run(
    run: RunStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_uploads(run, monkeypatch, times=9)
    keeper = keeper_of(run, tolerate=1)
    keeper.store(report(2), Counter(2))

    with pytest.raises(StorageError, match="quota exceeded"):
        keeper.store(report(4), Counter(4))


def test_the_last_checkpoint_has_to_succeed(
    run: RunStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_uploads(run, monkeypatch, times=1)

    with pytest.raises(StorageError):
        keeper_of(run, tolerate=5).store(report(2, last=True), Counter(2))


OLD = Identity({"train.seed": 0}, {"data.root": "a" * 64}, {"mila/model.py": "1"})


def test_another_identity_under_the_same_name_is_refused_with_the_difference(
    run: RunStorage,
) -> None:
    run.bind(OLD)
    run.bind(OLD)

    new = Identity({"train.seed": 1}, {"data.root": "b" * 64}, {"mila/model.py": "2"})
    with pytest.raises(ValueError, match="begun with another identity") as refused:
        run.bind(new)
    assert "train.seed: 0 -> 1" in str(refused.value)
    assert "data.root: content" in str(refused.value)
    assert "mila/model.py: code changed" in str(refused.value)


def test_changed_sources_can_be_accepted_changed_settings_cannot(run: RunStorage) -> None:
    run.bind(OLD)
    other = {"mila/model.py": "2"}

    bound = run.bind(Identity(OLD.settings, OLD.inputs, other), accept_sources=True)

    assert bound == OLD
    with pytest.raises(ValueError, match=r"train.seed: 0 -> 1"):
        run.bind(Identity({"train.seed": 1}, OLD.inputs, other), accept_sources=True)
