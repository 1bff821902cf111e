"""The loader meets damage: it is named by shard and clip, and never in a batch."""

import errno
import os
import threading

import numpy as np
import pytest

from mila.config import DataSettings
from mila.data.draws import FrameDraw
from mila.data.loader import ClipLoader, LoaderSettings
from mila.data.local_storage import LocalStorage
from mila.data.shards import ClipReader
from mila.data.source import open_source
from tests.mila.data.batches import assert_same

OFFSET = FrameDraw("offset", max_offset=3)


@pytest.mark.parametrize("workers", [0, 1])
def test_damage_is_reported_and_never_trained_on(make_loader, shards, workers):
    loader = make_loader(workers=workers, batch_size=1)
    row = loader.rows[3]
    path = shards / row.shard
    data = bytearray(path.read_bytes())
    data[row.offset + 1000] ^= 255
    path.write_bytes(bytes(data))
    keys: list[str] = []

    def read_all() -> None:
        for clip, _ in loader.epoch():
            keys.extend(clip.keys)

    with pytest.raises(ValueError, match=f"{row.shard}, clip {row.key}: altered bytes") as error:
        read_all()

    assert row.key not in keys
    assert "Traceback" not in str(error.value)


def test_damage_anywhere_never_reaches_a_batch(make_loader, shards):
    """One byte at a time: the epoch gives clean clips and stops at the altered one by its name."""
    loader = make_loader(batch_size=1)
    clean = {clip.keys[0]: clip for clip, _ in loader.epoch()}
    random = np.random.default_rng(0)
    for _ in range(60):
        row = loader.rows[random.integers(len(loader.rows))]
        at = row.offset + int(random.integers(row.bytes))
        path = shards / row.shard
        good = path.read_bytes()
        path.write_bytes(good[:at] + bytes([good[at] ^ 1 << random.integers(8)]) + good[at + 1 :])
        given = []
        try:
            with pytest.raises(ValueError, match=f"{row.shard}, clip {row.key}: altered bytes"):
                given.extend(clip for clip, _ in loader.epoch())
        finally:
            path.write_bytes(good)
        for clip in given:
            assert clip.keys != (row.key,)
            assert_same(clip, clean[clip.keys[0]])


def test_a_shard_that_cannot_be_read_is_named(make_loader, shards):
    class Broken(LocalStorage):
        def read_range(self, name, offset, size):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    loader = make_loader()
    broken = ClipLoader(
        open_source(DataSettings(root=str(shards))).manifest,
        ClipReader(Broken(shards)),
        loader.settings,
    )

    with pytest.raises(ValueError, match=r"shard .*, clip train-\d: cannot be read \(Input/output"):
        next(broken.epoch())


def test_a_dead_loader_process_is_reported(shards):
    class Deadly(ClipReader):
        def read(self, row):
            os._exit(3)

    source = open_source(DataSettings(root=str(shards)))
    settings = LoaderSettings("train", OFFSET, ("semseg",), 1, workers=1, timeout_s=30)
    loader = ClipLoader(source.manifest, Deadly(LocalStorage(shards)), settings)

    with pytest.raises(ValueError, match="a loader process failed"):
        next(loader.epoch())


def test_a_silent_loader_process_is_reported(shards):
    class Silent(ClipReader):
        def read(self, row):
            threading.Event().wait(60)

    source = open_source(DataSettings(root=str(shards)))
    settings = LoaderSettings("train", OFFSET, ("semseg",), 1, workers=1, timeout_s=1)
    loader = ClipLoader(source.manifest, Silent(LocalStorage(shards)), settings)

    with pytest.raises(ValueError, match=r"a loader process failed: .*timed out"):
        next(loader.epoch())
