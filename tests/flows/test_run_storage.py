"""A run's storage: bound to one identity, restored from the journal, patient when it fails."""

from dataclasses import asdict
from pathlib import Path

import pytest

from flows.run_storage import Keeper, RunStorage
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


def commit(run: RunStorage, value: int) -> None:
    stored = Keeper(run, tolerate=0).store(report(value), Counter(value))
    assert stored is not None
    run.journal.append(asdict(stored[0]), checkpoint=stored[1], attempt=1)


@pytest.fixture
def run(tmp_path: Path) -> RunStorage:
    return RunStorage(str(tmp_path / "run"))


def test_restored_is_what_was_committed_last(run: RunStorage) -> None:
    state = Counter()
    assert run.restore(state) is None

    commit(run, 2)
    commit(run, 4)
    Keeper(run, tolerate=0).store(report(6), Counter(6))  # stored, but never registered
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
    Keeper(run, tolerate=0).store(report(8), Counter(8))

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
    keeper = Keeper(run, tolerate=2)

    assert keeper.store(report(2), Counter(2)) is None
    assert keeper.store(report(4), Counter(4)) is None
    stored = keeper.store(report(6), Counter(6))

    assert stored is not None
    assert stored[0].series == {"loss": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    assert stored[0].total_update == 6
    assert "quota exceeded" in caplog.text
    again = keeper.store(report(8), Counter(8))
    assert again is not None
    assert again[0].series == {"loss": [7.0, 8.0]}


def test_too_many_failed_checkpoints_in_a_row_stop_the_run(
    run: RunStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_uploads(run, monkeypatch, times=9)
    keeper = Keeper(run, tolerate=1)
    keeper.store(report(2), Counter(2))

    with pytest.raises(StorageError, match="quota exceeded"):
        keeper.store(report(4), Counter(4))


def test_the_last_checkpoint_has_to_succeed(
    run: RunStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_uploads(run, monkeypatch, times=1)

    with pytest.raises(StorageError):
        Keeper(run, tolerate=5).store(report(2, last=True), Counter(2))


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
