import io
import json
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from mila.data.local_storage import LocalStorage
from mila.data.manifest import Manifest, read_manifest, write_manifest
from mila.data.sample import encode_clip
from mila.data.shards import clip_tar, pack_clip, write_shards
from pipeline.checks import check_shard
from pipeline.validate import main

KEYS = ["test-0", "train-0", "train-1", "val-0"]


@pytest.fixture
def clips(make_clip):
    return {key: make_clip(key, frames=2) for key in KEYS}


@pytest.fixture
def check(tmp_path):
    """Validates tmp_path/data: exit code and report."""

    def run():
        code = main([f"data={tmp_path / 'data'}", f"out={tmp_path / 'report.json'}", "workers=1"])
        return code, json.loads((tmp_path / "report.json").read_text())

    return run


def write(folder, clips, change=lambda key, fields: fields):
    packed = [
        pack_clip(clip_tar(key, change(key, encode_clip(clip)))) for key, clip in clips.items()
    ]
    return write_shards(folder / "data", packed, shard_bytes=1 << 20)


def test_good_data_passes(tmp_path, clips, check, capsys):
    manifest = write(tmp_path, clips)

    code, report = check()

    assert code == 0
    assert report["ok"]
    assert report["problems"] == []
    assert report["fingerprint"] == manifest.fingerprint
    assert report["splits"]["train"]["clips"] == 2
    ids = np.concatenate([clips[key].semseg.ravel() for key in ("train-0", "train-1")])
    counted = report["splits"]["train"]["pixels_per_class"]
    assert counted["car"] == int((ids == 13).sum())
    assert "4 clips checked, all well" in capsys.readouterr().out


def test_an_altered_byte_is_named(tmp_path, clips, check, capsys):
    manifest = write(tmp_path, clips)
    row = next(row for row in manifest.clips if row.key == "train-1")
    path = tmp_path / "data" / row.shard
    data = bytearray(path.read_bytes())
    data[row.offset + row.bytes // 2] ^= 1
    path.write_bytes(bytes(data))

    code, report = check()

    assert code == 2
    assert len(report["problems"]) == 1
    assert "shards/train-00000.tar: clip train-1 is altered" in report["problems"][0]
    assert "train-1" in capsys.readouterr().err


def test_every_altered_byte_is_named(tmp_path, clips, check):
    """Headers, padding, pixels and the end mark: each place of the shard counts."""
    manifest = write(tmp_path, clips)
    storage = LocalStorage(tmp_path / "data")
    (shard,) = (shard for shard in manifest.shards if shard.split == "train")
    rows = sorted((r for r in manifest.clips if r.split == "train"), key=lambda row: row.offset)
    path = tmp_path / "data" / shard.shard
    good = path.read_bytes()
    assert check_shard(storage, shard, rows).problems == []

    random = np.random.default_rng(0)
    regions = {**_regions(good), "end": range(rows[-1].offset + rows[-1].bytes, len(good))}
    for region, places in regions.items():
        for at in random.choice(places, 40):
            bad = bytearray(good)
            bad[at] ^= 1 << random.integers(8)
            path.write_bytes(bytes(bad))
            (problem,) = check_shard(storage, shard, rows).problems
            hit = [r.key for r in rows if r.offset <= at < r.offset + r.bytes]
            expected = f"clip {hit[0]} is" if hit else f"the end mark after clip {rows[-1].key} is"
            assert f"{shard.shard}: {expected} altered" in problem, (region, at)


def _regions(data: bytes) -> dict[str, list[int]]:
    """Places of headers, contents and padding in a tar."""
    regions: dict[str, list[int]] = {"header": [], "content": [], "padding": []}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            end = member.offset_data + member.size
            regions["header"] += range(member.offset, member.offset_data)
            regions["content"] += range(member.offset_data, end)
            regions["padding"] += range(end, end + -end % 512)
    return regions


def test_a_truncated_shard_names_every_clip_it_lost(tmp_path, clips, check):
    manifest = write(tmp_path, clips)
    first = min((row for row in manifest.clips if row.split == "train"), key=lambda row: row.offset)
    path = tmp_path / "data" / first.shard
    path.write_bytes(path.read_bytes()[: first.bytes - 512])

    code, report = check()

    assert code == 2
    assert len(report["problems"]) == 2
    assert "bytes instead of" in report["problems"][0]
    assert "clip train-0 is altered or cut short" in report["problems"][0]
    assert "clip train-1: is altered or cut short" in report["problems"][1]


def test_a_missing_shard_is_named(tmp_path, clips, check):
    write(tmp_path, clips)
    (tmp_path / "data/shards/val-00000.tar").unlink()

    code, report = check()

    assert code == 2
    assert len(report["problems"]) == 1
    assert "shards/val-00000.tar: missing" in report["problems"][0]


def test_a_bad_label_id_is_named(tmp_path, clips, check):
    clips["val-0"].semseg[1, 3, 4] = 19
    write(tmp_path, clips)

    code, report = check()

    assert code == 2
    (problem,) = report["problems"]
    assert "val-00000.tar, clip val-0: frame 1: label ids 19; cityscapes has 0..18" in problem


def test_a_video_in_two_splits_is_named(tmp_path, clips, check):
    clips["val-0"] = replace(clips["val-0"], video="video-train-0")
    write(tmp_path, clips)

    code, report = check()

    assert code == 2
    assert report["problems"] == ["video video-train-0 is in more than one split: train, val"]


def other_size(key, fields):
    if key == "train-0":
        meta = {**json.loads(fields["meta.json"]), "height": 17}
        return {**fields, "meta.json": json.dumps(meta).encode()}
    return fields


def missing_image(key, fields):
    return {k: v for k, v in fields.items() if (key, k) != ("train-0", "01.image.jpg")}


def unknown_field(key, fields):
    return {**fields, "00.lidar.bin": b"x"} if key == "train-0" else fields


def frame_beyond(key, fields):
    return {**fields, "07.semseg.png": fields["00.semseg.png"]} if key == "train-0" else fields


def flow_of_frame_0(key, fields):
    return {**fields, "00.flow.png": fields["01.flow.png"]} if key == "train-0" else fields


def eight_bit_depth(key, fields):
    return {**fields, "00.depth.png": fields["00.semseg.png"]} if key == "train-0" else fields


@pytest.mark.parametrize(
    "change, message",
    [
        (other_size, "18x26 pixels, meta.json says 17x26"),
        (missing_image, "no field 01.image.jpg"),
        (unknown_field, "unknown field 00.lidar.bin"),
        (frame_beyond, "field 07.semseg.png of a clip of 2 frames"),
        (flow_of_frame_0, "frame 0 has backward flow"),
        (eight_bit_depth, "00.depth.png: 1 channel(s) of uint8, expected"),
    ],
)
def test_samples_that_are_not_whole_are_named(tmp_path, clips, check, change, message):
    write(tmp_path, clips, change)

    code, report = check()

    assert code == 2
    assert any("clip train-0" in p and message in p for p in report["problems"]), report
    assert not any("train-1" in p for p in report["problems"])


def test_values_out_of_range_are_named(tmp_path, clips, check):
    clips["train-0"] = replace(clips["train-0"], depth_units_per_metre=16.0, normals=None)
    clips["train-0"].depth[0, 0, 0] = 4000.0
    clips["train-1"].normals[0, 0, 0] = (0.5, 0.5, 0.0)
    write(tmp_path, clips)

    _, report = check()

    assert any("clip train-0: depth of 4000.0 m" in p for p in report["problems"])
    assert any("clip train-1: normals that are not of length 1" in p for p in report["problems"])


def test_a_manifest_that_lies_about_labels_is_named(tmp_path, clips, check):
    manifest = write(tmp_path, clips)
    rows = [
        replace(row, labels=("semseg",), label_frames=((0, 1),)) if row.key == "val-0" else row
        for row in manifest.clips
    ]
    write_manifest(LocalStorage(tmp_path / "data"), Manifest(tuple(rows), manifest.shards))

    _, report = check()

    (problem,) = report["problems"]
    assert "clip val-0: its labels are not those of the manifest" in problem


@pytest.mark.parametrize("name", ["notes.txt", "x.semseg.png", "0.semseg.png", "00.semseg.jpg"])
def test_fields_of_other_names_are_named(tmp_path, clips, check, name):
    write(tmp_path, clips, lambda key, fields: {**fields, name: b"x"})

    _, report = check()

    assert len(report["problems"]) == 4
    assert all(f"unknown field {name}" in problem for problem in report["problems"])


def test_no_data_gets_one_sentence(tmp_path, capsys):
    assert main([f"data={tmp_path / 'none'}", f"out={tmp_path / 'r.json'}"]) == 2
    assert "no manifest there" in capsys.readouterr().err
    assert not (tmp_path / "r.json").exists()


def test_a_second_look_finds_the_same(tmp_path, clips, check):
    write(tmp_path, clips)
    check()
    first = (tmp_path / "report.json").read_bytes()

    check()

    assert (tmp_path / "report.json").read_bytes() == first
    assert len(read_manifest(LocalStorage(tmp_path / "data")).clips) == 4
