from pathlib import Path

import pytest

from mila.data.local_storage import LocalStorage
from mila.data.manifest import read_manifest
from pipeline.upload import copy_all, main


@pytest.fixture
def data(tmp_path, make_clip, make_shards):
    make_shards(tmp_path / "data", [make_clip("train-0"), make_clip("val-0")])
    return tmp_path / "data"


def copy(data, target):
    source = LocalStorage(data)
    return copy_all(source, target, read_manifest(source))


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_copy_is_the_same_and_old_shards_are_gone(data, tmp_path, capsys):
    old = LocalStorage(tmp_path / "to")
    old.put("shards/train-00007.tar", b"old")
    old.put("notes/mine.txt", b"mine")

    assert main([f"data={data}", f"to={tmp_path / 'to'}"]) == 0

    copied = files(tmp_path / "to")
    assert copied.pop(Path("notes/mine.txt")) == b"mine", "nothing else is touched"
    assert copied == files(data)
    assert "2 clips" in capsys.readouterr().out


def test_the_manifest_comes_last(data, tmp_path):
    class Cut(LocalStorage):
        def put(self, name, raw):
            if name.endswith("val-00000.tar"):
                raise OSError("disk full")
            super().put(name, raw)

    target = Cut(tmp_path / "to")
    copy(data, LocalStorage(tmp_path / "to"))

    with pytest.raises(OSError, match="disk full"):
        copy(data, target)

    with pytest.raises(ValueError, match="no manifest there"):
        read_manifest(target)


def test_a_copy_that_is_not_there_is_noticed(data, tmp_path):
    class Forgetful(LocalStorage):
        def put(self, name, raw):
            if not name.startswith("shards/"):
                super().put(name, raw)

    with pytest.raises(ValueError, match="does not list what was written"):
        copy(data, Forgetful(tmp_path / "to"))


def test_a_damaged_shard_is_not_sent(data, tmp_path, capsys):
    path = data / "shards/train-00000.tar"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + b"x")

    assert main([f"data={data}", f"to={tmp_path / 'to'}"]) == 2
    assert "shards/train-00000.tar: altered" in capsys.readouterr().err
    path.unlink()
    assert main([f"data={data}", f"to={tmp_path / 'to'}"]) == 2
    assert "shards/train-00000.tar: missing" in capsys.readouterr().err

    with pytest.raises(ValueError, match="no manifest there"):
        read_manifest(LocalStorage(tmp_path / "to"))


def test_a_data_set_is_not_copied_onto_itself(data, tmp_path, capsys):
    before = files(data)

    assert main([f"data={data}", f"to={data}/../data/"]) == 2

    assert "the data set is there already" in capsys.readouterr().err
    assert files(data) == before


def test_bad_words_get_one_sentence(tmp_path, capsys):
    assert main([f"data={tmp_path}", f"to={tmp_path / 'x'}"]) == 2
    assert "no manifest there" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
