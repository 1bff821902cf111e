"""Shards hold the clips as they were given, in the same bytes every time."""

import hashlib
import io
import tarfile

import pytest

from mila.data.local_storage import LocalStorage
from mila.data.sample import encode_clip
from mila.data.shards import ClipReader, clip_tar, read_shard, write_clip_tar
from mila.data.tar_layout import clip_members


def test_rebuilt_data_is_the_same_to_the_byte(tmp_path, six_clips, manifest, make_shards):
    again = make_shards(tmp_path / "again", six_clips, shard_bytes=30_000)

    first = {p.relative_to(tmp_path / "data"): p for p in (tmp_path / "data").rglob("*.*")}
    assert len(first) >= 6
    for name, path in first.items():
        assert path.read_bytes() == (tmp_path / "again" / name).read_bytes(), name
    assert again.fingerprint == manifest.fingerprint


def test_clips_come_back_by_range_and_in_sequence(tmp_path, six_clips, manifest):
    storage = LocalStorage(tmp_path / "data")
    written = {clip.key: encode_clip(clip) for clip in six_clips}
    reader = ClipReader(storage)

    by_range = {row.key: reader.read(row) for row in manifest.clips}
    in_sequence = {
        row.key: fields
        for shard in manifest.shards
        for row, fields in read_shard(storage, shard, manifest.clips)
    }

    assert by_range == in_sequence == written
    assert len({row.shard for row in manifest.clips if row.split == "train"}) > 1


def test_a_shard_is_what_webdataset_itself_would_write(tmp_path, six_clips, manifest):
    from webdataset import TarWriter

    stream = io.BytesIO()
    with TarWriter(stream, user="", group="", mtime=0, encoder=False) as tar:
        tar.write({"__key__": "val-0", **encode_clip(six_clips[-1])})

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


@pytest.mark.parametrize("key", ["", "a.b", "a/b", "x" * 99])
def test_keys_that_a_tar_cannot_hold_are_refused(key, make_clip):
    with pytest.raises(ValueError, match="clip key"):
        clip_tar(key, encode_clip(make_clip("train-0")))


def test_keys_out_of_order_are_refused(tmp_path, make_clip, make_shards):
    with pytest.raises(ValueError, match="clip train-0 comes after train-1"):
        make_shards(tmp_path, [make_clip("train-1"), make_clip("train-0")])
