import hashlib
import io
import tarfile
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mila.data.cache import ContentCache
from mila.data.local_storage import LocalStorage
from mila.data.manifest import Manifest, read_manifest
from mila.data.sample import decode_clip, encode_clip
from mila.data.shards import ClipReader, clip_tar, pack_clip, read_shard, write_clip_tar
from mila.data.tar_layout import clip_members

KEYS = ["test-0", "train-0", "train-1", "train-2", "train-3", "val-0"]


@pytest.fixture
def clips(make_clip):
    return [make_clip(key, frames=2) for key in KEYS]


@pytest.fixture
def manifest(tmp_path, clips, make_shards) -> Manifest:
    return make_shards(tmp_path / "data", clips, shard_bytes=30_000)


def test_rebuilt_data_is_the_same_to_the_byte(tmp_path, clips, manifest, make_shards):
    again = make_shards(tmp_path / "again", clips, shard_bytes=30_000)

    first = {p.relative_to(tmp_path / "data"): p for p in (tmp_path / "data").rglob("*.*")}
    assert len(first) >= 6
    for name, path in first.items():
        assert path.read_bytes() == (tmp_path / "again" / name).read_bytes(), name
    assert again.fingerprint == manifest.fingerprint


def test_fingerprint_sees_content_and_not_place(tmp_path, clips, manifest, make_shards, make_clip):
    spread = make_shards(tmp_path / "spread", clips, shard_bytes=1)
    clips[2].semseg[0, 0, 0] ^= 1
    changed = make_shards(tmp_path / "changed", clips, shard_bytes=30_000)

    assert len(spread.shards) == len(KEYS)
    assert spread.fingerprint == manifest.fingerprint
    assert changed.fingerprint != manifest.fingerprint


def test_clips_come_back_by_range_and_in_sequence(tmp_path, clips, manifest):
    storage = LocalStorage(tmp_path / "data")
    written = {clip.key: encode_clip(clip) for clip in clips}
    reader = ClipReader(storage)

    by_range = {row.key: reader.read(row) for row in manifest.clips}
    in_sequence = {
        row.key: fields
        for shard in manifest.shards
        for row, fields in read_shard(storage, shard, manifest.clips)
    }

    assert by_range == in_sequence == written
    assert len({row.shard for row in manifest.clips if row.split == "train"}) > 1


def test_manifest_is_read_as_written_and_true(tmp_path, clips, manifest):
    back = read_manifest(LocalStorage(tmp_path / "data"))

    assert set(back.clips) == set(manifest.clips)
    assert [row.key for row in back.split("train")] == KEYS[1:5]
    row = back.split("val")[0]
    assert (row.frames, row.height, row.width, row.fps, row.start) == (2, 18, 26, 17.0, 4)
    assert row.labels == ("depth", "flow", "normals", "semseg")
    assert row.labelled(("semseg",)) == [0, 1]
    assert row.labelled(("flow",)) == [1]
    assert row.labelled(("flow", "depth")) == [0, 1]
    for shard in back.shards:
        data = (tmp_path / "data" / shard.shard).read_bytes()
        assert len(data) == shard.bytes
        assert hashlib.sha256(data).hexdigest() == shard.sha256


def test_a_shard_is_what_webdataset_itself_would_write(tmp_path, clips, manifest):
    from webdataset import TarWriter

    stream = io.BytesIO()
    with TarWriter(stream, user="", group="", mtime=0, encoder=False) as tar:
        tar.write({"__key__": "val-0", **encode_clip(clips[-1])})

    assert (tmp_path / "data/shards/val-00000.tar").read_bytes() == stream.getvalue()


def test_our_header_reader_agrees_with_tarfile(make_clip):
    tar = clip_tar("train-0", encode_clip(make_clip("train-0")))

    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        members = {m.name: opened.extractfile(m).read() for m in opened}
        owners = {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in opened}

    assert {f"train-0.{k}": v for k, v in clip_members(tar, "train-0").items()} == members
    assert list(members) == sorted(members)
    assert owners == {(0, 0, "", "", 0)}


def test_clip_tar_file_is_complete_or_absent(tmp_path, make_clip):
    path = tmp_path / "train-0.tar"

    digest = write_clip_tar(path, "train-0", encode_clip(make_clip("train-0")))

    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    assert [p.name for p in tmp_path.iterdir()] == ["train-0.tar"]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_always_reported_with_shard_and_key(flipping, place, bit):
    folder, manifest = flipping
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


@pytest.fixture(scope="module")
def flipping(tmp_path_factory):
    """Shards for many examples; a function-scoped fixture would not be allowed with hypothesis."""
    from mila.data.sample import ClipArrays
    from mila.data.shards import write_shards

    folder = tmp_path_factory.mktemp("flipping")
    random = np.random.default_rng(0)
    packed = []
    for key in ("train-0", "train-1", "val-0"):
        clip = ClipArrays(
            key=key,
            video=key,
            split=key.split("-")[0],
            fps=10.0,
            start=0,
            images=random.integers(0, 256, (1, 4, 4, 3), dtype=np.uint8),
            semseg=np.zeros((1, 4, 4), np.uint8),
            depth=np.ones((1, 4, 4), np.float32),
        )
        packed.append(pack_clip(clip_tar(key, encode_clip(clip))))
    return folder, write_shards(folder, packed)


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


def test_a_flaw_on_the_way_is_read_again(tmp_path, clips, manifest):
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


@pytest.mark.parametrize("key", ["", "a.b", "a/b", "x" * 99])
def test_keys_that_a_tar_cannot_hold_are_refused(key, make_clip):
    with pytest.raises(ValueError, match="clip key"):
        clip_tar(key, encode_clip(make_clip("train-0")))


def test_keys_out_of_order_are_refused(tmp_path, make_clip, make_shards):
    with pytest.raises(ValueError, match="clip train-0 comes after train-1"):
        make_shards(tmp_path, [make_clip("train-1"), make_clip("train-0")])


def test_manifests_that_are_none_are_named(tmp_path, manifest):
    storage = LocalStorage(tmp_path / "data")
    shards = (tmp_path / "data/shards.parquet").read_bytes()

    with pytest.raises(ValueError, match=r"nowhere/clips.parquet: no manifest there"):
        read_manifest(LocalStorage(tmp_path / "nowhere"))
    storage.put("shards.parquet", b"nonsense")
    with pytest.raises(ValueError, match=r"shards.parquet: not a manifest"):
        read_manifest(storage)
    storage.put("shards.parquet", (tmp_path / "data/clips.parquet").read_bytes())
    with pytest.raises(ValueError, match=r"shards.parquet: columns .* expected"):
        read_manifest(storage)
    storage.put("shards.parquet", shards)
    assert read_manifest(storage).fingerprint == manifest.fingerprint


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(["clips.parquet", "shards.parquet"]),
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
)
def test_an_altered_manifest_is_refused_or_says_the_same(flipping, name, place, bit):
    folder, manifest = flipping
    path = folder / name
    good = path.read_bytes()
    at = int(place * len(good))
    path.write_bytes(good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :])
    said = ""
    try:
        assert read_manifest(LocalStorage(folder)) == manifest
    except ValueError as error:
        said = str(error)
    finally:
        path.write_bytes(good)

    assert not said or name in said
    assert "\n" not in said


def test_whole_numbers_do_for_frames_per_second(tmp_path, make_clip, make_shards):
    written = make_shards(tmp_path, [make_clip("train-0", fps=30)])

    back = read_manifest(LocalStorage(tmp_path))

    assert back.clips == written.clips
    assert back.fingerprint == written.fingerprint


def test_rows_that_were_not_written_are_refused(tmp_path, manifest):
    """A changed value in a file that is otherwise whole."""
    path = tmp_path / "data/clips.parquet"
    table = pq.read_table(path)
    starts = pa.array([row + 1 for row in table["start"].to_pylist()], pa.int64())
    field = table.schema.field("start")
    changed = table.set_column(table.schema.get_field_index("start"), field, starts)
    pq.write_table(changed, path)

    with pytest.raises(ValueError, match=r"clips.parquet: its rows are not those that were"):
        read_manifest(LocalStorage(tmp_path / "data"))
