"""Data sets on a real S3 service: sent there, read over broken links, altered in their place."""

import hashlib
import os
import socket
import socketserver
import threading
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from mila.config import DataSettings
from mila.data.draws import FrameDraw
from mila.data.loader import ClipLoader, LoaderSettings
from mila.data.manifest import read_manifest
from mila.data.shards import ClipReader
from mila.data.source import open_source
from mila.data.storage import S3Options, open_storage
from pipeline.preview import main as preview
from pipeline.upload import main as upload
from pipeline.validate import main as validate
from tests.serving import serving

pytestmark = pytest.mark.s3


class Cutter(socketserver.ThreadingTCPServer):
    """Passes bytes to the service; cuts the next answers after so many bytes."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        address = urlsplit(target)
        self.target = (address.hostname, address.port)
        self.cut_after: list[int] = []
        self.cut = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Connection(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server = self.server
        with socket.create_connection(server.target, timeout=20) as service:
            threading.Thread(target=_pump, args=(self.request, service), daemon=True).start()
            budget = server.cut_after.pop(0) if server.cut_after else None
            while data := service.recv(65536):
                self.request.sendall(data if budget is None else data[:budget])
                if budget is not None and budget <= len(data):
                    server.cut += 1
                    return
                budget = None if budget is None else budget - len(data)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # the other side is gone
        return


@pytest.fixture
def cutter(services) -> Iterator[Cutter]:
    with serving(Cutter(os.environ["AWS_ENDPOINT_URL"])) as server:
        yield server


def test_a_connection_cut_in_the_middle_of_a_shard_goes_on(services, cutter):
    """Fourteen cuts in headers and in data, and every byte of the shard arrives."""
    name = f"cut/{uuid.uuid4().hex}"
    data = os.urandom(24 << 20)
    open_storage("s3://shards").put(name, data)
    storage = open_storage("s3://shards", S3Options(endpoint_url=cutter.url))
    cutter.cut_after = [1 << 20, 100, 3_000_001, 5 << 20, 1, 700, 65_536] * 2

    got = storage.read(name)

    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()
    assert cutter.cut == 14
    cutter.cut_after = [300_000, 400_000]
    storage = open_storage("s3://shards", S3Options(endpoint_url=cutter.url))
    assert storage.read_range(name, 7 << 20, 2 << 20) == data[7 << 20 : 9 << 20]
    assert cutter.cut == 16


def test_batches_over_a_breaking_link_are_the_same(services, street, cutter):
    settings = LoaderSettings("train", FrameDraw("offset", 3), ("semseg", "depth"), 2, seed=5)

    def batches(options: S3Options | None) -> list:
        storage = open_storage(street, options)
        loader = ClipLoader(read_manifest(storage), ClipReader(storage), settings)
        return list(loader.epoch())

    whole = batches(None)
    cutter.cut_after = [40_000, 10, 3000] * 6
    broken = batches(S3Options(endpoint_url=cutter.url))

    assert cutter.cut >= 6
    assert [clip.keys for clip, _ in broken] == [clip.keys for clip, _ in whole]
    for (clip, after), (same, after_same) in zip(broken, whole, strict=True):
        assert after == after_same
        assert (clip.images == same.images).all()
        assert all((clip.labels[task] == same.labels[task]).all() for task in clip.labels)


def test_an_altered_object_is_named_and_never_cached(services, street, tmp_path):
    """One byte of a shard in the bucket; the copy in the cache serves, a bad one is never kept."""
    url = f"s3://shards/altered-{uuid.uuid4().hex}"
    assert upload([f"data={street}", f"to={url}"]) == 0
    storage = open_storage(url)
    manifest = read_manifest(storage)
    row = manifest.split("train")[0]
    data = bytearray(storage.read(row.shard))
    data[row.offset + row.bytes // 2] ^= 1
    storage.put(row.shard, bytes(data))

    data_settings = DataSettings(root=url, cache=str(tmp_path / "cache"))
    reader = open_source(data_settings).reader
    with pytest.raises(ValueError, match=f"{url}/{row.shard}, clip {row.key}: altered bytes"):
        reader.read(row)
    assert not (tmp_path / "cache").exists()
    assert validate([f"data={url}", f"out={tmp_path / 'r.json'}", "workers=2"]) == 2
    assert f"clip {row.key} is altered" in (tmp_path / "r.json").read_text()
    assert upload([f"data={url}", f"to={url}-copy"]) == 2


def test_verbs_take_s3_urls(services, street, tmp_path):
    url = f"s3://shards/copy-{uuid.uuid4().hex}"

    assert upload([f"data={street}", f"to={url}"]) == 0
    assert upload([f"data={url}", f"to={tmp_path / 'back'}"]) == 0
    assert validate([f"data={url}", f"out={tmp_path / 'report.json'}", "workers=2"]) == 0
    assert preview([f"data={url}", f"out={tmp_path / 'page.html'}", "clips=1"]) == 0

    for entry in open_storage(street).list():
        assert (tmp_path / "back" / entry.name).stat().st_size == entry.size
    assert upload([f"data={url}", f"to={url}/"]) == 2
