import hashlib
from pathlib import Path

import numpy as np
import pytest

from mila.config import WorldSettings
from mila.data.sample import decode_clip
from mila.data.shards import read_clip_tar
from mila.data.tar_layout import clip_members
from pipeline import synthesize
from pipeline.catalog import read_catalog
from pipeline.world.clip import render_clip

WORDS = [
    "world.height=32",
    "world.width=64",
    "world.frames=2",
    "world.train_clips=2",
    "world.val_clips=1",
    "world.test_clips=1",
]


def digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_writes_a_catalog_and_a_tar_per_clip(tmp_path, capsys) -> None:
    out = tmp_path / "raw"

    assert synthesize.main([*WORDS, f"out={out}"]) == 0

    rows = read_catalog(out / "catalog.parquet")
    assert [row.clip for row in rows] == [
        "test-000000",
        "train-000000",
        "train-000001",
        "val-000000",
    ]
    assert len({row.video for row in rows}) == 4
    assert sorted(digests(out)) == ["catalog.parquet", *sorted(row.path for row in rows)]
    assert "4 clips, 8 frames" in capsys.readouterr().out


def test_what_is_written_reads_back_as_it_was_rendered(tmp_path) -> None:
    synthesize.main([*WORDS, f"out={tmp_path / 'raw'}"])
    row = next(r for r in read_catalog(tmp_path / "raw/catalog.parquet") if r.split == "val")
    data = read_clip_tar(tmp_path / "raw" / row.path, row.sha256)

    read = decode_clip(clip_members(data, row.clip), key=row.clip)
    made = render_clip(seed=0, split="val", index=0, frames=2, height=32, width=64, fps=17.0)

    np.testing.assert_array_equal(read.semseg, made.semseg)
    np.testing.assert_allclose(read.depth, made.depth, atol=1 / 256)
    assert read.flow is not None
    np.testing.assert_array_equal(np.isnan(read.flow), np.isnan(made.flow))
    np.testing.assert_allclose(np.nan_to_num(read.flow), np.nan_to_num(made.flow), atol=1 / 64)
    assert np.abs(read.images.astype(int) - made.images).mean() < 4
    assert read.intrinsics == pytest.approx(made.intrinsics)
    assert (read.video, read.fps, read.start) == (row.video, 17.0, 0)


def test_same_settings_same_bytes_whatever_the_number_of_processes(tmp_path) -> None:
    for workers in (1, 2):
        assert (
            synthesize.main([*WORDS, f"world.workers={workers}", f"out={tmp_path / str(workers)}"])
            == 0
        )

    assert digests(tmp_path / "1") == digests(tmp_path / "2")


def test_an_earlier_result_is_replaced_as_a_whole(tmp_path) -> None:
    out = tmp_path / "raw"
    synthesize.main([*WORDS, f"out={out}"])
    before = digests(out)

    assert synthesize.main([*WORDS, "world.seed=1", "world.train_clips=1", f"out={out}"]) == 0

    after = digests(out)
    assert len(after) == len(before) - 1
    assert not set(after.values()) & set(before.values())


def test_a_folder_with_something_else_in_it_is_refused(tmp_path, capsys) -> None:
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter.txt").write_text("years of work")

    assert synthesize.main([*WORDS, f"out={out}"]) == 2

    assert "not empty and not an earlier result" in capsys.readouterr().err
    assert [p.name for p in tmp_path.rglob("*")] == ["thesis", "chapter.txt"]


def test_nothing_is_left_when_rendering_fails(tmp_path, monkeypatch) -> None:
    def fail(**_: object) -> None:
        raise ValueError("no world")

    monkeypatch.setattr(synthesize, "render_sample", fail)
    settings = WorldSettings(height=32, width=64, frames=2, workers=1)

    with pytest.raises(ValueError, match="no world"):
        synthesize.synthesize(settings, tmp_path / "raw")

    assert list(tmp_path.iterdir()) == []


def test_an_unknown_setting_is_named_with_the_nearest_one(tmp_path, capsys) -> None:
    assert synthesize.main(["world.heigth=32", f"out={tmp_path / 'raw'}"]) == 2

    assert "world.height" in capsys.readouterr().err
    assert not (tmp_path / "raw").exists()
