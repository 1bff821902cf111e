import errno
import os
from dataclasses import replace
from itertools import islice

import cv2
import numpy as np
import pytest
import torch

from mila.config import DataSettings
from mila.data.draws import FrameDraw
from mila.data.loader import ClipLoader, LoaderSettings
from mila.data.local_storage import LocalStorage
from mila.data.plan import Position
from mila.data.shards import ClipReader
from mila.data.source import evaluation_loader, open_source, training_loader
from mila.data.transforms import Augmentation

OFFSET = FrameDraw("offset", max_offset=3)


@pytest.fixture
def clips(make_clip):
    keys = [*(f"train-{i}" for i in range(7)), "val-0", "val-1"]
    return {key: make_clip(key, frames=5, start=10) for key in keys}


@pytest.fixture
def root(tmp_path, clips, make_shards):
    make_shards(tmp_path / "data", [clips[key] for key in sorted(clips)])
    return tmp_path / "data"


@pytest.fixture
def make_loader(root):
    def make(**words) -> ClipLoader:
        source = open_source(DataSettings(root=str(root)))
        values = {
            "split": "train",
            "draw": OFFSET,
            "tasks": ("semseg", "depth", "normals"),
            "batch_size": 2,
            "seed": 3,
            "augmentation": Augmentation(crop=(12, 16), scale=(0.8, 1.5), flip=True, colour=0.3),
        }
        return ClipLoader(source.manifest, source.reader, LoaderSettings(**{**values, **words}))

    return make


def assert_same(a, b):
    assert a.keys == b.keys
    for x, y in [(a.images, b.images), (a.frames, b.frames), (a.flow, b.flow)]:
        assert (x is None) == (y is None)
        torch.testing.assert_close(x, y, rtol=0, atol=0, equal_nan=True) if x is not None else None
    assert a.labels.keys() == b.labels.keys()
    for task in a.labels:
        torch.testing.assert_close(a.labels[task], b.labels[task], rtol=0, atol=0)


def test_batches_have_the_shapes_and_types_of_the_contract(make_loader):
    clip, after = next(make_loader(flow=True).epoch())

    assert after == Position(0, 2)
    assert clip.images.shape == (2, 2, 3, 12, 16)
    assert clip.images.dtype == torch.uint8
    assert clip.labels["semseg"].shape == (2, 2, 12, 16)
    assert clip.labels["semseg"].dtype == torch.int64
    assert clip.labels["depth"].shape == (2, 2, 12, 16)
    assert clip.labels["depth"].dtype == torch.float32
    assert clip.labels["normals"].shape == (2, 2, 3, 12, 16)
    assert clip.flow.shape == (2, 2, 2, 12, 16)
    assert clip.frames.dtype == torch.int64
    assert len(clip.keys) == 2


def test_evaluation_gives_the_clips_as_they_are(root, clips):
    source = open_source(DataSettings(root=str(root)))
    loader = evaluation_loader(source, "val", ("semseg", "depth", "normals"), flow=True)

    seen = list(loader.epoch())

    assert [clip.keys for clip, _ in seen] == [("val-0",), ("val-1",)]
    assert seen[-1][1] == Position(1)
    for batch, _ in seen:
        truth = clips[batch.keys[0]]
        assert batch.frames.tolist() == [[10, 11, 12, 13, 14]]
        np.testing.assert_array_equal(batch.labels["semseg"][0].numpy(), truth.semseg)
        np.testing.assert_array_equal(batch.labels["depth"][0].numpy(), truth.depth)
        normals = batch.labels["normals"][0].permute(0, 2, 3, 1).numpy()
        np.testing.assert_allclose(normals, truth.normals, atol=1.01 / 255)
        flow = batch.flow[0].permute(0, 2, 3, 1).numpy()
        np.testing.assert_allclose(flow, truth.flow, atol=0.01)
        images = batch.images[0].permute(0, 2, 3, 1).numpy().astype(int)
        assert np.abs(images - truth.images).max() <= 8, "JPEG"


def test_frames_drawn_are_the_frames_decoded(make_loader, clips):
    loader = make_loader(augmentation=None, draw=FrameDraw("offset", 3, multi_frame=True))

    for batch, _ in loader.epoch():
        for b, key in enumerate(batch.keys):
            inside = (batch.frames[b] - 10).tolist()
            assert inside[1] == inside[2] - 1
            assert 1 <= inside[2] - inside[0] <= 3
            np.testing.assert_array_equal(
                batch.labels["semseg"][b].numpy(), clips[key].semseg[inside]
            )


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_do_not_depend_on_loader_processes(make_loader, workers):
    plain = list(make_loader().epoch())

    with_workers = list(make_loader(workers=workers).epoch())

    assert len(plain) == len(with_workers) == 3
    for (a, after_a), (b, after_b) in zip(plain, with_workers, strict=True):
        assert after_a == after_b
        assert_same(a, b)


def test_going_on_in_the_middle_gives_the_same_batches(make_loader):
    whole = list(islice(make_loader().stream(), 8))

    for stop in (0, 1, 3, 4, 7):
        after = whole[stop - 1][1] if stop else Position()
        rest = list(islice(make_loader(workers=1 if stop == 3 else 0).stream(after), 8 - stop))
        for (a, _), (b, _) in zip(whole[stop:], rest, strict=True):
            assert_same(a, b)


def test_ranks_share_a_batch(make_loader):
    loader = make_loader(batch_size=4, tail="wrap")
    alone = list(loader.epoch())

    ranks = [list(loader.epoch(rank=r, world_size=2)) for r in range(2)]

    for (whole, after), (first, _), (second, last) in zip(alone, *ranks, strict=True):
        assert after == last
        mixed = [key for pair in zip(first.keys, second.keys, strict=True) for key in pair]
        assert tuple(mixed) == whole.keys
        torch.testing.assert_close(whole.images[0::2], first.images, rtol=0, atol=0)
        torch.testing.assert_close(whole.images[1::2], second.images, rtol=0, atol=0)


def test_epochs_and_seeds_change_what_is_drawn(make_loader):
    def images(loader, epoch):
        return {
            key: clip.images[i]
            for clip, _ in loader.epoch(Position(epoch))
            for i, key in enumerate(clip.keys)
        }

    first, later, other = (
        images(make_loader(batch_size=7), 0),
        images(make_loader(batch_size=7), 1),
        images(make_loader(batch_size=7, seed=4), 0),
    )

    assert any(not torch.equal(first[key], later[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_absent_labels_are_ignored(tmp_path, make_clip, make_shards):
    clip = make_clip("train-0", frames=3, normals=None, flow=None)
    clip.depth[:] = 0
    clip.semseg[:2] = 255
    make_shards(tmp_path, [clip])
    source = open_source(DataSettings(root=str(tmp_path)))
    tasks = ("semseg", "depth", "normals")
    settings = LoaderSettings("train", FrameDraw("single"), tasks, batch_size=1, flow=True)

    (batch, _), *_ = ClipLoader(source.manifest, source.reader, settings).epoch()

    assert batch.frames.tolist() == [[6]], "the only labelled frame"
    assert (batch.labels["depth"] == 0).all()
    assert (batch.labels["normals"] == 0).all()
    assert batch.flow.isnan().all()
    assert (batch.labels["semseg"] != 255).any()


def test_clips_without_a_wanted_label_are_left_out(tmp_path, make_clip, make_shards, caplog):
    clips = [make_clip(f"train-{i}", frames=3) for i in range(4)]
    clips[1].semseg[:] = 255
    clips[2].semseg[1:] = 255  # a label on frame 0 only: no frame before it
    make_shards(tmp_path, clips)
    source = open_source(DataSettings(root=str(tmp_path)))
    settings = LoaderSettings("train", OFFSET, ("semseg",), batch_size=1)

    loader = ClipLoader(source.manifest, source.reader, settings)

    assert sorted(clip.keys[0] for clip, _ in loader.epoch()) == ["train-0", "train-3"]
    assert "2 of 4 clips unused" in caplog.text


def test_stills_become_clips(tmp_path, make_clip, make_shards):
    clips = [make_clip(f"train-{i}", frames=1, height=40, width=60, flow=None) for i in range(3)]
    make_shards(tmp_path, clips)
    source = open_source(DataSettings(root=str(tmp_path)))
    data = DataSettings(root=str(tmp_path), clips_from_stills=True, crop=(32, 48), tail="wrap")
    draw = FrameDraw("offset", max_offset=5, multi_frame=True)

    loader = training_loader(source, data, draw, ("semseg", "depth"), batch_size=2, seed=1)
    again = training_loader(source, data, draw, ("semseg", "depth"), batch_size=2, seed=1)

    for (clip, _), (same, _) in zip(loader.epoch(), again.epoch(), strict=True):
        assert clip.images.shape == (2, 3, 3, 32, 48)
        assert ((clip.frames[:, 2] - clip.frames[:, 0]) <= 5).all()
        assert (clip.frames[:, 2] - clip.frames[:, 1] == 1).all()
        assert not torch.equal(clip.images[:, 0], clip.images[:, 2])
        assert (clip.labels["semseg"] != 255).any()
        assert_same(clip, same)
    single = training_loader(source, data, FrameDraw("single"), ("semseg",), batch_size=2, seed=1)
    assert next(single.epoch())[0].images.shape == (2, 1, 3, 32, 48)


@pytest.mark.parametrize("workers", [0, 1])
def test_damage_is_reported_and_never_trained_on(make_loader, root, workers):
    loader = make_loader(workers=workers, batch_size=1)
    row = loader.rows[3]
    path = root / row.shard
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


def test_damage_anywhere_never_reaches_a_batch(make_loader, root):
    """One byte at a time: the epoch gives clean clips and stops at the altered one by its name."""
    loader = make_loader(batch_size=1)
    clean = {clip.keys[0]: clip for clip, _ in loader.epoch()}
    random = np.random.default_rng(0)
    for _ in range(60):
        row = loader.rows[random.integers(len(loader.rows))]
        at = row.offset + int(random.integers(row.bytes))
        path = root / row.shard
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


def test_a_shard_that_cannot_be_read_is_named(make_loader, root):
    class Broken(LocalStorage):
        def read_range(self, name, offset, size):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    loader = make_loader()
    broken = ClipLoader(
        open_source(DataSettings(root=str(root))).manifest,
        ClipReader(Broken(root)),
        loader.settings,
    )

    with pytest.raises(ValueError, match=r"shard .*, clip train-\d: cannot be read \(Input/output"):
        next(broken.epoch())


def test_a_dead_loader_process_is_reported(root):
    class Deadly(ClipReader):
        def read(self, row):
            os._exit(3)

    source = open_source(DataSettings(root=str(root)))
    settings = LoaderSettings("train", OFFSET, ("semseg",), 1, workers=1, timeout_s=30)
    loader = ClipLoader(source.manifest, Deadly(LocalStorage(root)), settings)

    with pytest.raises(ValueError, match="a loader process failed"):
        next(loader.epoch())


@pytest.mark.parametrize(
    "words, message",
    [
        ({"split": "test"}, "split test has no clips"),
        ({"tasks": ("lidar",)}, "no clip of split train has a label for lidar"),
        ({"clips_from_stills": True}, "data.clips_from_stills has no effect"),
    ],
)
def test_settings_that_give_nothing_are_refused(make_loader, words, message):
    with pytest.raises(ValueError, match=message):
        make_loader(**words)


def test_clips_of_different_size_need_a_crop(tmp_path, make_clip, make_shards):
    make_shards(tmp_path, [make_clip("train-0"), make_clip("train-1", height=20)])
    source = open_source(DataSettings(root=str(tmp_path)))
    settings = LoaderSettings("train", FrameDraw("single"), ("semseg",), batch_size=2)
    cropped = replace(settings, augmentation=Augmentation(crop=(16, 16)))

    with pytest.raises(ValueError, match=r"train-\d and train-\d differ in frames or size"):
        next(ClipLoader(source.manifest, source.reader, settings).epoch())
    clip, _ = next(ClipLoader(source.manifest, source.reader, cropped).epoch())
    assert clip.images.shape == (2, 1, 3, 16, 16)


def test_a_batch_larger_than_the_split_is_refused(make_loader):
    with pytest.raises(ValueError, match="7 clips do not fill one batch of 8"):
        make_loader(batch_size=8).epoch()


def test_other_classes_than_the_model_has_are_refused(root, make_clip, make_shards, tmp_path):
    data = DataSettings(root=str(root))
    assert open_source(data, label_set="cityscapes").manifest.clips

    with pytest.raises(
        ValueError, match=r"has the classes of cityscapes, model.label_set is camvid"
    ):
        open_source(data, label_set="camvid")

    clip = make_clip("train-0", label_set="camvid")
    clip.semseg[:] = 255
    make_shards(tmp_path / "depth", [clip])
    assert open_source(DataSettings(root=str(tmp_path / "depth")), label_set="nyud40")


@pytest.mark.timeout(60)
def test_loader_processes_work_after_this_one_used_threads(tmp_path, make_clip, make_shards):
    """OpenCV gives large pictures to several threads, and threads do not survive a fork."""
    make_shards(tmp_path, [make_clip("train-0", frames=2, height=700, width=1000)])
    source = open_source(DataSettings(root=str(tmp_path)))
    settings = LoaderSettings("train", OFFSET, ("semseg",), 1, augmentation=Augmentation())
    cv2.setNumThreads(4)

    alone, _ = next(ClipLoader(source.manifest, source.reader, settings).epoch())
    cv2.setNumThreads(4)
    threaded = replace(settings, workers=1, timeout_s=40)
    forked, _ = next(ClipLoader(source.manifest, source.reader, threaded).epoch())

    assert_same(alone, forked)
