import json

import numpy as np
import pytest

from mila.data.local_storage import LocalStorage
from mila.data.manifest import read_manifest
from mila.data.sample import decode_clip
from mila.data.shards import ClipReader
from pipeline.shard import main

KEYS = ["test-0", "train-0", "train-1", "val-0"]


@pytest.fixture
def clips(make_clip):
    return [make_clip(key, frames=2) for key in KEYS]


@pytest.fixture
def raw(tmp_path, clips, make_raw):
    make_raw(tmp_path / "raw", clips)
    return tmp_path / "raw"


def run(raw, out, *words):
    return main([f"raw={raw}", f"out={out}", *words])


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_shards_hold_the_raw_clips(tmp_path, raw, clips, capsys):
    assert run(raw, tmp_path / "out", "workers=1") == 0

    storage = LocalStorage(tmp_path / "out")
    rows = {row.key: row for row in read_manifest(storage).clips}
    assert sorted(rows) == KEYS
    for clip in clips:
        back = decode_clip(ClipReader(storage).read(rows[clip.key]), key=clip.key)
        np.testing.assert_array_equal(back.semseg, clip.semseg)
        np.testing.assert_array_equal(back.depth, clip.depth)
    assert "4 clips in 3 shards" in capsys.readouterr().out


def test_same_bytes_with_any_number_of_processes(tmp_path, raw):
    assert run(raw, tmp_path / "one", "workers=1") == 0
    assert run(raw, tmp_path / "two", "workers=2") == 0

    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_statistics_are_those_of_the_pixels(tmp_path, raw, clips):
    run(raw, tmp_path / "out", "workers=1")

    stats = json.loads((tmp_path / "out/stats.json").read_text())["train"]
    own = [clip for clip in clips if clip.split == "train"]
    ids = np.concatenate([clip.semseg.ravel() for clip in own])
    depth = np.concatenate([clip.depth.ravel() for clip in own])
    assert stats["clips"] == 2
    assert stats["frames"] == 4
    assert list(stats["pixels_per_class"].values()) == np.bincount(ids, minlength=256)[:19].tolist()
    assert stats["semseg_ignored_share"] == pytest.approx((ids == 255).mean(), abs=1e-6)
    assert stats["depth_metres"]["max"] == pytest.approx(depth.max(), abs=1e-6)
    assert stats["depth_metres"]["min"] == pytest.approx(depth[depth > 0].min(), abs=1e-6)
    assert stats["depth_invalid_share"] == pytest.approx((depth == 0).mean(), abs=1e-6)
    images = np.concatenate([clip.images.reshape(-1, 3) for clip in own]) / 255
    np.testing.assert_allclose(stats["channel_mean"], images.mean(axis=0), atol=0.004)
    np.testing.assert_allclose(stats["channel_std"], images.std(axis=0), atol=0.004)


def test_a_damaged_raw_clip_leaves_the_old_shards(tmp_path, raw, capsys):
    out = tmp_path / "out"
    run(raw, out, "workers=1")
    before = files(out)
    path = raw / "clips/train-1.tar"
    path.write_bytes(path.read_bytes()[:-1])

    assert run(raw, out, "workers=1") == 2

    assert "train-1.tar: its digest is not the one in the catalog" in capsys.readouterr().err
    assert files(out) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "raw"]


@pytest.mark.parametrize(
    "words, message",
    [
        (["raw=nowhere", "out=x"], "nowhere/catalog.parquet: no catalog there"),
        (["out=x"], "raw=... is required"),
        (["raw=a", "out=x", "shart_mib=3"], "unknown word shart_mib; did you mean shard_mib"),
        (["raw=a", "out=x", "shard_mib=big"], "shard_mib=big: expected a number"),
        (["raw=a", "out=x", "workers=-1"], "workers=-1: expected"),
    ],
)
def test_bad_words_get_one_sentence(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)

    assert main(words) == 2

    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_things_is_left_alone(tmp_path, raw, capsys):
    before = files(raw)

    for out in (raw, tmp_path):
        assert run(raw, out, "workers=1") == 2
        assert "not an earlier result" in capsys.readouterr().err

    assert files(raw) == before


def test_help_has_an_example(capsys):
    assert main(["--help"]) == 0
    assert "python -m pipeline.shard raw=data/raw/street" in capsys.readouterr().out
