"""mila.data.storage against a real S3 service, which checks keys, digests and quotas."""

import hashlib
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flows.checkpoints import Checkpoints
from mila.data.storage import Storage, StorageError, open_storage

pytestmark = pytest.mark.s3


@pytest.fixture
def storage(services) -> Storage:
    return open_storage(f"s3://runs/test-storage/{uuid.uuid4().hex}")


def test_what_is_put_is_read_listed_and_deleted(storage):
    data = os.urandom(12 << 20)
    storage.put("a/large.bin", data)
    storage.put("a/empty.bin", b"")

    assert hashlib.sha256(storage.read("a/large.bin")).digest() == hashlib.sha256(data).digest()
    assert [(entry.name, entry.size) for entry in storage.list("a/")] == [
        ("a/empty.bin", 0),
        ("a/large.bin", len(data)),
    ]
    storage.delete("a/large.bin")
    storage.delete("a/large.bin")
    assert [entry.name for entry in storage.list()] == ["a/empty.bin"]
    with pytest.raises(FileNotFoundError):
        storage.read("a/large.bin")


def test_ranges_are_read(storage):
    storage.put("digits", b"0123456789")

    assert storage.read_range("digits", 3, 4) == b"3456"
    assert storage.read_range("digits", 8, 4) == b"89"
    assert storage.read_range("digits", 12, 4) == b""


def test_of_eight_racing_writers_one_wins(storage):
    for turn in range(3):

        def write(writer: int, name: str = f"lease-{turn}") -> bool:
            own = open_storage(storage.url)
            return own.put_if_absent(name, str(writer).encode())

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(write, range(8)))

        assert sum(won) == 1
        assert storage.read(f"lease-{turn}") == str(won.index(True)).encode()


def test_wrong_secret_is_refused_at_once(storage, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x" * 40)

    with pytest.raises(StorageError, match="SignatureDoesNotMatch"):
        open_storage(storage.url).put("one", b"1")


def test_unknown_key_is_refused_at_once(storage, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")

    with pytest.raises(StorageError, match="InvalidAccessKeyId"):
        open_storage(storage.url).list()


def test_missing_bucket_is_named(services):
    with pytest.raises(StorageError, match="no bucket nowhere"):
        open_storage("s3://nowhere/x").put("one", b"1")


def test_full_quota_fails_the_checkpoint_and_keeps_the_one_before(services, storage, tmp_path):
    bucket = ("--quota-scope=bucket", "--uid=mila", "--bucket=runs")
    checkpoints = Checkpoints(storage)
    checkpoints.save(_folder(tmp_path / "first", 1000), "first")
    services.radosgw_admin("quota", "set", *bucket, "--max-size=1048576")
    services.radosgw_admin("quota", "enable", *bucket)
    try:
        with pytest.raises(StorageError, match="QuotaExceeded"):
            checkpoints.save(_folder(tmp_path / "second", 12 << 20), "second")
    finally:
        services.radosgw_admin("quota", "disable", *bucket)

    assert checkpoints.names() == ["first"]
    checkpoints.load("first", tmp_path / "back")
    assert (tmp_path / "back/large").read_bytes() == (tmp_path / "first/large").read_bytes()
    checkpoints.save(_folder(tmp_path / "second", 12 << 20), "second")
    assert checkpoints.names() == ["first", "second"]


def _folder(folder: Path, size: int) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "small").write_bytes(b"x" * 100)
    (folder / "large").write_bytes(os.urandom(size))
    return folder
