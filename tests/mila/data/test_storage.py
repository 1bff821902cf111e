import os
import pickle
import socket
import socketserver
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

from mila.data.local_storage import Entry
from mila.data.storage import S3Options, Storage, StorageError, open_storage

QUICK = 3.0


class Proxy(socketserver.ThreadingTCPServer):
    """Passes bytes to the service and spoils some answers."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, target: int, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Pass)
        self.target = ("127.0.0.1", target)
        self.connections = 0
        self.cut_after: list[int] = []
        """For each of the next connections: bytes of the answer before it is cut."""
        self.answers: list[bytes] = []
        """Sent instead of asking the service, one for each of the next connections."""
        self.lose_answers = 0
        """The service does its work, the client never hears of it: so many times."""
        self.requests: list[bytes] = []


class _Pass(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server = self.server
        server.connections += 1
        request = self._read_request()
        server.requests.append(request)
        if server.answers:
            self.request.sendall(server.answers.pop(0))
            return
        with socket.create_connection(server.target, timeout=10) as target:
            target.sendall(request.replace(b"Connection: keep-alive", b"Connection: close"))
            budget = server.cut_after.pop(0) if server.cut_after else None
            lost = server.lose_answers > 0
            server.lose_answers -= lost
            target.settimeout(2)
            try:
                while data := target.recv(65536):
                    if budget is not None:
                        data = data[:budget]
                        budget -= len(data)
                    if not lost:
                        self.request.sendall(data)
                    if budget == 0:
                        return
            except TimeoutError:
                return

    def _read_request(self) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.request.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        if b"100-continue" in head.lower():
            self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(body) < length:
            body += self.request.recv(65536)
        lines = [
            x for x in head.split(b"\r\n") if not x.lower().startswith((b"expect:", b"connec"))
        ]
        return b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body


@pytest.fixture(scope="module")
def s3_port():
    """A service for units; it proves nothing about keys or integrity."""
    moto = pytest.importorskip("moto.server", reason="the dev extra brings moto")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        server = moto.ThreadedMotoServer("127.0.0.1", 0)
        server.start()
        port = server.get_host_and_port()[1]
        import boto3

        client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}")
        client.create_bucket(Bucket="shards")
        yield port
        server.stop()


@contextmanager
def serving(server: Proxy):
    """Run the proxy in a thread."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    with server:
        yield server
        server.shutdown()
        thread.join(5)


@pytest.fixture
def proxy(s3_port):
    with serving(Proxy(s3_port)) as server:
        yield server


def s3(port: int, prefix: str, **options) -> Storage:
    endpoint = f"http://127.0.0.1:{port}"
    options = {"patience_s": QUICK, "timeout_s": 2.0, **options}
    return open_storage(f"s3://shards/{prefix}", S3Options(endpoint, **options))


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
