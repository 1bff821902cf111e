"""S3 in trouble: broken reads go on, what passes is tried again, refusals are final and say why."""

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mila.data.storage import S3Options, StorageError, open_storage
from tests.mila.data.s3_units import Proxy, s3
from tests.serving import serving


@pytest.fixture
def proxy(s3_port):
    with serving(Proxy(s3_port)) as server:
        yield server


def test_a_broken_read_goes_on_where_it_broke(proxy):
    data = np.random.default_rng(0).bytes(3_000_000)
    storage = s3(proxy.server_address[1], "broken")
    storage.put("shard", data)
    proxy.requests.clear()
    proxy.cut_after = [1_000_000, 500_000, 1_200_000]

    got = storage.read_range("shard", 10_000, 2_900_000)

    assert got == data[10_000 : 10_000 + 2_900_000]
    starts = [_range_start(request) for request in proxy.requests]
    assert len(starts) == 4
    assert starts[0] == 10_000
    assert starts == sorted(starts)
    assert starts[1] > 900_000, "the second request begins where the first was cut"


def _range_start(request: bytes) -> int:
    (line,) = [x for x in request.split(b"\r\n") if x.lower().startswith(b"range:")]
    return int(line.split(b"=")[1].split(b"-")[0])


def test_progress_renews_the_patience(proxy):
    """A link that breaks again and again is slow, not dead, as long as bytes come through."""
    data = os.urandom(100_000)
    storage = s3(proxy.server_address[1], "drip", patience_s=0.5)
    storage.put("shard", data)
    proxy.cut_after = [10_000] * 8

    assert storage.read("shard") == data


def test_passing_errors_are_tried_again(proxy):
    storage = s3(proxy.server_address[1], "busy")
    busy = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    proxy.answers = [busy, busy]
    storage.put("one", b"1")
    proxy.answers = [busy, b""]

    assert storage.read("one") == b"1"


def test_a_service_that_comes_back_is_waited_for(s3_port):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    storage = s3(port, "away", patience_s=20)
    s3(s3_port, "away").put("one", b"1")

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(storage.read, "one")
        time.sleep(1.0)
        assert not reading.done()
        with serving(Proxy(s3_port, port)):
            assert reading.result(timeout=20) == b"1"


def test_patience_ends(proxy):
    storage = s3(proxy.server_address[1], "dead", patience_s=0.6)
    proxy.answers = [b""] * 50
    began = time.monotonic()

    with pytest.raises(StorageError, match=r"cannot read one, tried for 0.6 s"):
        storage.read("one")

    assert time.monotonic() - began < 5


def test_a_silent_service_times_out(s3_port):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        storage = s3(silent.getsockname()[1], "silent", patience_s=0.5, timeout_s=0.3)
        began = time.monotonic()

        with pytest.raises(StorageError, match="cannot list"):
            storage.list()

        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "status, message",
    [(b"403 Forbidden", "403"), (b"400 Bad Request", "400")],
)
def test_refusals_are_not_tried_again(proxy, status, message):
    storage = s3(proxy.server_address[1], "refused")
    proxy.answers = [
        b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    ] * 3

    with pytest.raises(StorageError, match=message):
        storage.put("one", b"1")

    assert proxy.connections == 1


def test_a_missing_bucket_is_named(s3_port):
    storage = open_storage("s3://nobody/x", S3Options(f"http://127.0.0.1:{s3_port}"))

    with pytest.raises(StorageError, match="s3://nobody/x: no bucket nobody"):
        storage.put("one", b"1")


def test_a_win_whose_answer_was_lost_is_a_win(proxy):
    storage = s3(proxy.server_address[1], f"lost/{os.urandom(4).hex()}")
    proxy.lose_answers = 1

    assert storage.put_if_absent("lease", b"mine")
    assert not s3(proxy.target[1], storage.url.removeprefix("s3://shards/")).put_if_absent(
        "lease", b"other"
    )


def test_missing_keys_are_one_sentence(monkeypatch, tmp_path, s3_port):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    with pytest.raises(StorageError, match="credentials"):
        s3(s3_port, "x").read("one")
