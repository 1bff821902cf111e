"""Which clips a loader takes, what absent labels become, and which settings it refuses."""

from dataclasses import replace

import pytest

from mila.config import DataSettings
from mila.data.draws import FrameDraw
from mila.data.loader import ClipLoader, LoaderSettings
from mila.data.source import open_source
from mila.data.transforms import Augmentation

OFFSET = FrameDraw("offset", max_offset=3)


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


def test_other_classes_than_the_model_has_are_refused(shards, make_clip, make_shards, tmp_path):
    data = DataSettings(root=str(shards))
    assert open_source(data, label_set="cityscapes").manifest.clips

    with pytest.raises(
        ValueError, match=r"has the classes of cityscapes, model.label_set is camvid"
    ):
        open_source(data, label_set="camvid")

    clip = make_clip("train-0", label_set="camvid")
    clip.semseg[:] = 255
    make_shards(tmp_path / "depth", [clip])
    assert open_source(DataSettings(root=str(tmp_path / "depth")), label_set="nyud40")
