"""Shards meet damage: what is altered, cut, missing or not theirs is named by shard and clip."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mila.data.cache import ContentCache
from mila.data.local_storage import LocalStorage
from mila.data.sample import decode_clip
from mila.data.shards import ClipReader, read_shard


@settings(max_examples=400, deadline=None, derandomize=True)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_always_reported_with_shard_and_key(tiny_shards, place, bit):
    folder, manifest = tiny_shards
    shards = sorted(manifest.shards, key=lambda shard: shard.shard)
    at = int(place * sum(shard.bytes for shard in shards))
    for shard in shards:
        if at < shard.bytes:
            break
        at -= shard.bytes
    path = folder / shard.shard
    good = path.read_bytes()
    bad = bytearray(good)
    bad[at] ^= 1 << bit
    path.write_bytes(bytes(bad))
    try:
        hit = [r for r in manifest.clips if r.shard == shard.shard and _holds(r, at)]
        rows = [r for r in manifest.clips if r.shard == shard.shard]
        for row in rows:
            if row in hit:
                with pytest.raises(ValueError, match=f"{shard.shard}, clip {row.key}"):
                    ClipReader(LocalStorage(folder)).read(row)
            else:
                ClipReader(LocalStorage(folder)).read(row)
        last = max(rows, key=lambda row: row.offset).key
        expected = f"clip {hit[0].key} is altered" if hit else f"end mark after clip {last}"
        with pytest.raises(ValueError, match=f"{shard.shard}: .*{expected}"):
            list(read_shard(LocalStorage(folder), shard, manifest.clips))
    finally:
        path.write_bytes(good)


def _holds(row, at: int) -> bool:
    return row.offset <= at < row.offset + row.bytes


def test_truncated_and_missing_shards_are_named(tmp_path, manifest):
    storage = LocalStorage(tmp_path / "data")
    row = manifest.split("train")[-1]
    path = tmp_path / "data" / row.shard
    shard = next(s for s in manifest.shards if s.shard == row.shard)

    path.write_bytes(path.read_bytes()[: row.offset + row.bytes - 700])
    with pytest.raises(ValueError, match=rf"{row.shard}, clip {row.key}: \d+ of {row.bytes} bytes"):
        ClipReader(storage).read(row)
    with pytest.raises(ValueError, match=rf"bytes instead of {shard.bytes}, clip {row.key}"):
        list(read_shard(storage, shard, manifest.clips))

    path.unlink()
    with pytest.raises(ValueError, match=f"{row.shard}, clip {row.key}: the shard is missing"):
        ClipReader(storage).read(row)
    with pytest.raises(ValueError, match=f"{row.shard}: missing"):
        list(read_shard(storage, shard, manifest.clips))


def test_a_flaw_on_the_way_is_read_again(tmp_path, manifest):
    class Flaky(LocalStorage):
        calls = 0

        def read_range(self, name, offset, size):
            self.calls += 1
            data = super().read_range(name, offset, size)
            return data if self.calls > 1 else b"x" + data[1:]

    storage = Flaky(tmp_path / "data")

    fields = ClipReader(storage).read(manifest.clips[0])

    assert storage.calls == 2
    assert decode_clip(fields).images.shape == (2, 18, 26, 3)


def test_clips_that_the_manifest_does_not_know_are_named(tmp_path, manifest):
    storage = LocalStorage(tmp_path / "data")
    shard = manifest.shards[0]
    rows = [r for r in manifest.clips if r.shard == shard.shard]
    stranger = replace(rows[0], key="train-9")

    with pytest.raises(ValueError, match=f"holds clip {rows[0].key}"):
        list(read_shard(storage, shard, rows[1:]))
    with pytest.raises(ValueError, match="clip train-9 of the manifest is not in it"):
        list(read_shard(storage, shard, [*rows, stranger]))


def test_cache_serves_and_is_never_trusted(tmp_path, manifest):
    folder = tmp_path / "cache"
    row = manifest.clips[0]
    storage = LocalStorage(tmp_path / "data")
    fields = ClipReader(storage, ContentCache(folder, 1 << 20)).read(row)
    shard = tmp_path / "data" / row.shard
    good = shard.read_bytes()

    shard.unlink()
    assert ClipReader(storage, ContentCache(folder, 1 << 20)).read(row) == fields

    shard.write_bytes(good)
    (entry,) = folder.glob("??/*")
    entry.write_bytes(b"spoilt")
    assert ClipReader(storage, ContentCache(folder, 1 << 20)).read(row) == fields
    assert entry.stat().st_size == row.bytes
