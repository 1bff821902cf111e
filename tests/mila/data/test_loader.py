"""Batches: shapes, the same ones for any number of processes and ranks, and on going on."""

from dataclasses import replace
from itertools import islice

import cv2
import numpy as np
import pytest
import torch

from mila.config import DataSettings
from mila.data.draws import FrameDraw
from mila.data.loader import ClipLoader, LoaderSettings
from mila.data.plan import Position
from mila.data.source import evaluation_loader, open_source, training_loader
from mila.data.transforms import Augmentation
from tests.mila.data.batches import assert_same

OFFSET = FrameDraw("offset", max_offset=3)


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


def test_evaluation_gives_the_clips_as_they_are(shards, clips):
    source = open_source(DataSettings(root=str(shards)))
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
    loader = make_loader(augmentation=None, draw=FrameDraw("offset", 3, walk=2))

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


def test_stills_become_clips(tmp_path, make_clip, make_shards):
    clips = [make_clip(f"train-{i}", frames=1, height=40, width=60, flow=None) for i in range(3)]
    make_shards(tmp_path, clips)
    source = open_source(DataSettings(root=str(tmp_path)))
    data = DataSettings(root=str(tmp_path), clips_from_stills=True, crop=(32, 48), tail="wrap")
    draw = FrameDraw("offset", max_offset=5, walk=2)

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
