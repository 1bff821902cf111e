"""Checkpoints: what is stored is what was saved, or an error that says what is wrong."""

from pathlib import Path

import pytest

from flows.checkpoints import Checkpoints, new_checkpoint_name
from mila.data.storage import Storage, StorageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state: an empty file, a small one, one of several parts, one in a subfolder."""
    made = tmp_path / "state"
    (made / "deep").mkdir(parents=True)
    (made / "empty").write_bytes(b"")
    (made / "small").write_bytes(b"abc")
    (made / "large").write_bytes(bytes(range(256)) * 10)
    (made / "deep" / "exact").write_bytes(b"x" * 1000)
    return made


def contents(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def test_loaded_equals_saved(storage: Storage, folder: Path, tmp_path: Path) -> None:
    checkpoints = Checkpoints(storage, part_bytes=1000)

    checkpoints.save(folder, "00000010-a")
    checkpoints.load("00000010-a", tmp_path / "back")

    assert contents(tmp_path / "back") == contents(folder)
    assert checkpoints.names() == ["00000010-a"]


def test_a_checkpoint_without_manifest_does_not_count(
    storage: Storage, folder: Path, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(storage)
    checkpoints.save(folder, "00000010-a")
    storage.delete("checkpoints/00000010-a.manifest.json")

    assert checkpoints.names() == []
    with pytest.raises(StorageError, match="no complete checkpoint there"):
        checkpoints.load("00000010-a", tmp_path / "back")


@pytest.mark.parametrize("content", [b"abX", b"ab", b""])
def test_altered_files_are_named(
    storage: Storage, folder: Path, tmp_path: Path, content: bytes
) -> None:
    checkpoints = Checkpoints(storage)
    checkpoints.save(folder, "00000010-a")
    storage.put("checkpoints/00000010-a.small", content)

    with pytest.raises(StorageError, match=r"00000010-a.small: altered; expected 3 bytes"):
        checkpoints.load("00000010-a", tmp_path / "back")


def test_a_lost_upload_raises_and_leaves_no_checkpoint(
    storage: Storage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that returns normally though nothing arrived, as some do."""
    put = storage.put
    monkeypatch.setattr(
        storage, "put", lambda name, data: None if name.endswith("small") else put(name, data)
    )

    with pytest.raises(StorageError, match="small: 3 bytes were sent, it is not there"):
        Checkpoints(storage).save(folder, "00000010-a")
    assert Checkpoints(storage).names() == []


def test_an_upload_cut_short_or_garbled_raises(
    storage: Storage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = storage.put
    monkeypatch.setattr(storage, "put", lambda name, data: put(name, data[:2]))
    with pytest.raises(StorageError, match="it has 2 bytes"):
        Checkpoints(storage).save(folder, "00000010-a")

    monkeypatch.setattr(storage, "put", lambda name, data: put(name, data[::-1]))
    with pytest.raises(StorageError, match="altered"):
        Checkpoints(storage).save(folder, "00000020-a")
    assert Checkpoints(storage).names() == []


def test_prune_keeps_the_named_ones_and_clears_remains(storage: Storage, folder: Path) -> None:
    checkpoints = Checkpoints(storage)
    for name in ("00000010-a", "00000020-b", "00000030-c"):
        checkpoints.save(folder, name)
    storage.put("checkpoints/00000025-x.large", b"a broken upload")
    storage.put("journal/00000001.json", b"{}")

    checkpoints.prune(keep=["00000020-b", "00000030-c"])

    assert checkpoints.names() == ["00000020-b", "00000030-c"]
    assert not storage.list("checkpoints/00000025-x")
    assert storage.read("journal/00000001.json") == b"{}"


def test_names_sort_by_update_and_never_repeat() -> None:
    names = [new_checkpoint_name(update) for update in (900, 1000, 1000)]

    assert sorted(names)[0] == names[0]
    assert names[1] != names[2]
