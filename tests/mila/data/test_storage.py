"""What every storage promises, a folder and S3 alike; S3 in trouble: test_storage_faults.py."""

import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest

from mila.data.local_storage import Entry
from mila.data.storage import Storage, open_storage
from tests.mila.data.s3_units import s3


@pytest.fixture(params=["local", "s3"])
def storage(request, tmp_path) -> Storage:
    if request.param == "local":
        return open_storage(tmp_path / "folder")
    return s3(request.getfixturevalue("s3_port"), f"a/{os.urandom(4).hex()}")


def test_what_is_put_is_read(storage):
    storage.put("x/one.bin", b"0123456789")

    assert storage.read("x/one.bin") == b"0123456789"
    assert storage.read_range("x/one.bin", 3, 4) == b"3456"
    assert storage.read_range("x/one.bin", 8, 4) == b"89"
    assert storage.read_range("x/one.bin", 12, 4) == b""
    assert storage.read_range("x/one.bin", 3, 0) == b""


def test_put_replaces(storage):
    storage.put("one", b"old")
    storage.put("one", b"new")

    assert storage.read("one") == b"new"


def test_empty_objects_are_objects(storage):
    storage.put("nothing", b"")

    assert storage.read("nothing") == b""
    assert storage.list() == [Entry("nothing", 0)]


def test_list_is_sorted_and_sees_prefixes(storage):
    for name in ("b/2", "b/10", "a", "bb"):
        storage.put(name, name.encode())

    assert storage.list() == [Entry("a", 1), Entry("b/10", 4), Entry("b/2", 3), Entry("bb", 2)]
    assert [e.name for e in storage.list("b/")] == ["b/10", "b/2"]
    assert storage.list("zz") == []


def test_folder_marks_of_other_tools_are_no_objects(s3_port):
    storage = s3(s3_port, "marked")
    storage.put("a/b/one", b"1")
    client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{s3_port}")
    for key in ("marked/", "marked/a/", "marked/a/b/"):
        client.put_object(Bucket="shards", Key=key, Body=b"")
    client.put_object(Bucket="shards", Key="marked/a/odd/", Body=b"but not empty")

    assert storage.list() == [Entry("a/b/one", 1), Entry("a/odd/", 13)]
    assert storage.list("a/b/") == [Entry("a/b/one", 1)]


def test_delete_may_be_repeated(storage):
    storage.put("one", b"1")

    storage.delete("one")
    storage.delete("one")

    assert storage.list() == []


def test_missing_objects_are_not_found(storage):
    with pytest.raises(FileNotFoundError):
        storage.read("none")
    with pytest.raises(FileNotFoundError):
        storage.read_range("none", 2, 3)


def test_of_many_writers_one_wins(storage):
    def write(writer: int) -> bool:
        return storage.put_if_absent("lease", str(writer).encode())

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, range(8)))

    assert sum(won) == 1
    assert storage.read("lease") == str(won.index(True)).encode()
    assert not storage.put_if_absent("lease", b"late")


@pytest.mark.parametrize("name", ["", "/etc/passwd", "a/../../b"])
def test_names_that_leave_the_storage_are_refused(storage, name):
    with pytest.raises(ValueError, match="expected a relative name"):
        storage.put(name, b"x")


def test_storage_travels_to_other_processes(storage):
    storage.put("one", b"1")

    assert pickle.loads(pickle.dumps(storage)).read("one") == b"1"


@pytest.mark.parametrize(
    "url, message",
    [("gs://bucket/x", "expected a local path or s3"), ("s3://ab/x", "three letters or more")],
)
def test_other_urls_are_refused(url, message):
    with pytest.raises(ValueError, match=message):
        open_storage(url)
