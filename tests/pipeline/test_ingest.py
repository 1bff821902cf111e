import errno
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from mila.data.local_storage import LocalStorage
from mila.data.manifest import read_manifest
from mila.data.sample import decode_clip
from mila.data.shards import ClipReader
from pipeline import ingestion
from pipeline.ingest import main
from pipeline.validate import main as validate

ROOT = Path(__file__).parents[2]
ALL = ("camvid", "cityscapes", "kitti_step", "rgbd", "nyud")


def files(folder: Path) -> dict[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", ALL)
def test_every_data_set_becomes_valid_shards(name, request, run_ingest, tmp_path, capsys):
    root = request.getfixturevalue(f"{name}_tree")

    assert run_ingest(name, root, "workers=1") == 0

    report = tmp_path / "report.json"
    assert validate([f"data={tmp_path / 'out'}", f"out={report}", "workers=1"]) == 0, report
    said = capsys.readouterr().out
    assert "split" in said
    assert "train" in said
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


def test_what_is_ingested_is_what_was_there(cityscapes_tree, run_ingest, tmp_path):
    run_ingest("cityscapes", cityscapes_tree, "workers=2")

    storage = LocalStorage(tmp_path / "out")
    row = read_manifest(storage).split("val")[0]
    clip = decode_clip(ClipReader(storage).read(row), key=row.key)
    assert row.labelled(("semseg",)) == [9]
    assert row.labelled(("depth",)) == [9]
    assert (clip.semseg[:9] == 255).all()
    assert clip.depth.max() == pytest.approx(22.0, abs=1 / 256)
    source = cityscapes_tree / "leftImg8bit_sequence/val/st.gallen"
    truth = cv2.imread(str(source / "st.gallen_000000_000285_leftImg8bit.png"))[..., ::-1]
    assert np.abs(clip.images[0].astype(int) - truth).mean() < 4


def test_frames_can_be_resized(kitti_step_tree, run_ingest, tmp_path):
    assert run_ingest("kitti_step", kitti_step_tree, "size=6x10", "workers=1") == 0

    rows = read_manifest(LocalStorage(tmp_path / "out")).clips
    assert {(row.height, row.width) for row in rows} == {(6, 10)}


def test_a_repeated_run_does_nothing_and_new_files_are_seen(
    camvid_tree, run_ingest, tmp_path, capsys
):
    run_ingest("camvid", camvid_tree, "workers=1")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")}
    capsys.readouterr()

    assert run_ingest("camvid", camvid_tree, "workers=1") == 0
    assert "nothing to do" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")} == before

    label = camvid_tree / "trainannot/0006R0_f00900.png"
    cv2.imwrite(str(label), np.full((12, 20), 8, np.uint8))
    assert run_ingest("camvid", camvid_tree, "workers=1") == 0
    assert "nothing to do" not in capsys.readouterr().out


def test_same_bytes_with_any_number_of_processes(camvid_tree, tmp_path):
    for workers in (1, 2):
        words = ["dataset=camvid", f"root={camvid_tree}", f"out={tmp_path / str(workers)}"]
        assert main([*words, f"workers={workers}"]) == 0

    assert files(tmp_path / "1") == files(tmp_path / "2")


def test_a_bad_file_leaves_the_output_and_is_gone_past_when_mended(
    camvid_tree, run_ingest, tmp_path, capsys
):
    run_ingest("camvid", camvid_tree, "workers=1")
    before = files(tmp_path / "out")
    label = camvid_tree / "valannot/0016E5_07959.png"
    good = label.read_bytes()
    label.write_bytes(good[:20])

    assert run_ingest("camvid", camvid_tree, "workers=1") == 2
    said = capsys.readouterr().err
    assert "0016E5_07959.png: not a readable image" in said
    assert said.count("\n") == 1
    assert files(tmp_path / "out") == before

    label.write_bytes(good)
    assert run_ingest("camvid", camvid_tree, "workers=1") == 0
    shards = {k: v for k, v in files(tmp_path / "out").items() if k.suffix != ".json"}
    assert shards == {k: v for k, v in before.items() if k.suffix != ".json"}


@pytest.mark.timeout(100)
def test_killed_and_repeated_it_ends_like_a_whole_run(camvid_tree, tmp_path):
    """Stopped with -9 in the middle; what was made is kept, the rest is made."""
    for folder in ("train", "trainannot"):
        data = (camvid_tree / folder / "0006R0_f00900.png").read_bytes()
        for i in range(300):
            (camvid_tree / folder / f"0001TP_{30 * i:06d}.png").write_bytes(data)
    out = tmp_path / "out"
    words = ["dataset=camvid", f"root={camvid_tree}", "workers=1"]
    command = [sys.executable, "-m", "pipeline.ingest", *words, f"out={out}"]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    clips = tmp_path / ".out.clips"
    deadline = time.monotonic() + 60
    while len(list(clips.glob("*.tar"))) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait(20)
    assert not out.exists()
    kept = {p: p.stat().st_mtime_ns for p in clips.glob("*.tar")}
    assert len(kept) >= 20
    made = []
    write = ingestion.write_clip_tar
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingestion, "write_clip_tar", lambda p, *a: (made.append(p), write(p, *a))[1])
        assert main([*words, f"out={out}"]) == 0

    assert made
    assert not {p.name for p in made} & {p.name for p in kept}
    assert main([*words, f"out={tmp_path / 'whole'}"]) == 0
    assert files(out) == files(tmp_path / "whole")


@pytest.mark.parametrize(
    "words, message",
    [
        (["dataset=camvit"], "dataset=camvit: expected one of camvid, cityscapes"),
        (["dataset=camvid", "root=nowhere"], "root=nowhere: no such folder"),
        (["dataset=camvid", "units=3"], "units has no effect on dataset=camvid"),
        (["dataset=camvid", "size=big"], "size=big: expected rows x columns"),
        (["dataset=camvid"], "expected CamVid's folders"),
        (["dataset=camvid", "lables=native"], "unknown word lables; did you mean labels?"),
    ],
)
def test_bad_words_get_one_sentence(tmp_path, capsys, words, message):
    (tmp_path / "empty").mkdir()

    assert main([f"out={tmp_path / 'out'}", f"root={tmp_path / 'empty'}", *words]) == 2

    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["empty"]


def test_the_data_set_itself_and_other_folders_are_left_alone(camvid_tree, tmp_path, capsys):
    before = files(tmp_path)
    words = ["dataset=camvid", f"root={camvid_tree}", "workers=1"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")

    for out in (camvid_tree, camvid_tree / "shards", tmp_path, tmp_path / "mine/../camvid"):
        assert main([*words, f"out={out}"]) == 2
        assert "must lie apart from root" in capsys.readouterr().err
    assert main([*words, f"out={tmp_path / 'mine'}"]) == 2
    assert "not an earlier result" in capsys.readouterr().err

    assert {k: v for k, v in files(tmp_path).items() if k.parts[0] != "mine"} == before
    assert (tmp_path / "mine/thesis.txt").read_text() == "years of work"


def test_a_tree_that_gives_no_clip_is_refused(camvid_tree, run_ingest, tmp_path, capsys):
    """Stills alone, in the part that is for runs."""
    for part in ("val", "valannot"):
        shutil.rmtree(camvid_tree / part)
    (camvid_tree / "train").rename(camvid_tree / "val")
    (camvid_tree / "trainannot").rename(camvid_tree / "valannot")

    assert run_ingest("camvid", camvid_tree) == 2

    assert "no clip can be made of what is there" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_full_disk_gets_one_sentence(camvid_tree, run_ingest, tmp_path, capsys, monkeypatch):
    def full(path, *_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(ingestion, "write_clip_tar", full)

    assert run_ingest("camvid", camvid_tree, "workers=1") == 2

    said = capsys.readouterr().err
    assert re.search(r"/[\w-]+\.tar: No space left on device\n$", said)
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_table_says_what_every_split_holds(cityscapes_tree, run_ingest, capsys):
    run_ingest("cityscapes", cityscapes_tree, "workers=1")

    head, *rows = (re.split(r"\s{2,}", x) for x in capsys.readouterr().out.splitlines()[-3:])
    table = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    ids = np.arange(12 * 20) % 34
    ignored = np.isin(ids, [*range(7), 9, 10, 14, 15, 16, 18, 29, 30]).mean()
    unknown = np.mean(np.isin(ids, [1, 2, 3]) | (np.arange(240) < 40))

    assert table["train"]["clips"] == "1"
    assert table["train"]["frames"] == "10"
    assert table["train"]["classes"] == "19"
    assert table["train"]["semseg ignored"] == f"{ignored:.1%}"
    assert table["val"]["depth unknown"] == f"{unknown:.1%}"


def test_two_videos_of_one_key_are_named(rgbd_tree, run_ingest, capsys):
    for name in ("a.b", "a-b"):
        (rgbd_tree / name).mkdir()
        for path in (rgbd_tree / "red.kitchen/seq-02").iterdir():
            (rgbd_tree / name / path.name).write_bytes(path.read_bytes())

    assert run_ingest("rgbd", rgbd_tree, "workers=1") == 2
    assert "give one key, train-a-b-000000" in capsys.readouterr().err


def test_help_names_every_data_set(capsys):
    assert main(["help"]) == 0

    said = capsys.readouterr().out
    for name in ALL:
        assert name in said


real_data = Path(os.environ.get("MILA_REALDATA", "data/real"))


@pytest.mark.realdata
@pytest.mark.skipif(
    not real_data.is_dir(),
    reason=f"no real video in {real_data}; runs in `make services-test` where MILA_REALDATA=FOLDER "
    "names some, see docs/data.md",
)
@pytest.mark.parametrize(
    "name, folder, words, clips, frames",
    [
        ("camvid", "camvid", [], 278, 338),
        ("camvid", "camvid", ["labels=native", "size=180x240"], 278, 338),
        ("kitti_step", "kitti_step", [], 1, 11),
        ("rgbd", "redkitchen", ["register=0.91,-8,-1"], 3, 60),
    ],
)
def test_real_video_becomes_valid_shards(run_ingest, tmp_path, name, folder, words, clips, frames):
    assert run_ingest(name, real_data / folder, *words) == 0

    rows = read_manifest(LocalStorage(tmp_path / "out")).clips
    assert len(rows) == clips
    assert sum(row.frames for row in rows) == frames
    assert validate([f"data={tmp_path / 'out'}", f"out={tmp_path / 'report.json'}"]) == 0
