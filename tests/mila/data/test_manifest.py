"""The manifest says what was written, and is refused when it says anything else."""

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mila.data.local_storage import LocalStorage
from mila.data.manifest import read_manifest


def test_manifest_is_read_as_written_and_true(tmp_path, six_clips, manifest):
    back = read_manifest(LocalStorage(tmp_path / "data"))

    assert set(back.clips) == set(manifest.clips)
    assert [row.key for row in back.split("train")] == [f"train-{i}" for i in range(4)]
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


def test_fingerprint_sees_content_and_not_place(
    tmp_path, six_clips, manifest, make_shards, make_clip
):
    spread = make_shards(tmp_path / "spread", six_clips, shard_bytes=1)
    six_clips[2].semseg[0, 0, 0] ^= 1
    changed = make_shards(tmp_path / "changed", six_clips, shard_bytes=30_000)

    assert len(spread.shards) == len(six_clips)
    assert spread.fingerprint == manifest.fingerprint
    assert changed.fingerprint != manifest.fingerprint


def test_whole_numbers_do_for_frames_per_second(tmp_path, make_clip, make_shards):
    written = make_shards(tmp_path, [make_clip("train-0", fps=30)])

    back = read_manifest(LocalStorage(tmp_path))

    assert back.clips == written.clips
    assert back.fingerprint == written.fingerprint


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
def test_an_altered_manifest_is_refused_or_says_the_same(tiny_shards, name, place, bit):
    folder, manifest = tiny_shards
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
