"""The journal: numbered, without gaps, one writer per number, readable by another process."""

import pytest

from flows.journal import Journal, TakenOverError
from mila.data.storage import Storage


def test_records_are_numbered_and_read_back(storage: Storage) -> None:
    journal = Journal(storage)

    first = journal.append({"total_update": 5}, checkpoint="a", attempt=1)
    second = journal.append({"total_update": 9, "metrics": {"a": 0.5}}, checkpoint="b", attempt=2)

    fresh = Journal(storage)
    assert [first.number, second.number] == [1, 2]
    assert list(fresh.since(0)) == [first, second]
    assert list(fresh.since(1)) == [second]
    assert fresh.last() == second


def test_an_empty_journal_has_no_last_record(storage: Storage) -> None:
    assert Journal(storage).last() is None
    assert list(Journal(storage).since(0)) == []


def test_of_two_writers_of_one_number_one_fails(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = Journal(storage), Journal(storage)
    # Both look at the journal before either writes.
    monkeypatch.setattr(theirs, "length", lambda: 0)
    mine.append({"total_update": 1}, checkpoint="a", attempt=1)

    with pytest.raises(TakenOverError, match="another trainer wrote record 1"):
        theirs.append({"total_update": 1}, checkpoint="b", attempt=2)
    assert Journal(storage).read(1).checkpoint == "a"


def test_a_missing_or_damaged_record_is_named(storage: Storage) -> None:
    journal = Journal(storage)
    for update in (1, 2, 3):
        journal.append({"total_update": update}, checkpoint="a", attempt=1)
    storage.delete("journal/00000002.json")
    storage.put("journal/00000003.json", b"{cut")

    with pytest.raises(ValueError, match=r"00000002.json: this record of the run is missing"):
        list(journal.since(0))
    with pytest.raises(ValueError, match=r"00000003.json: not a record"):
        journal.last()
