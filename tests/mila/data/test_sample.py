import json
from dataclasses import replace

import numpy as np
import pytest

from mila.data.sample import (
    META_FIELD,
    ClipArrays,
    decode_clip,
    encode_clip,
    field_name,
    labelled_frames,
)


def test_labels_come_back_exactly(make_clip):
    clip = make_clip(frames=3)

    back = decode_clip(encode_clip(clip), key=clip.key)

    np.testing.assert_array_equal(back.semseg, clip.semseg)
    np.testing.assert_array_equal(back.depth, clip.depth)
    assert back.depth.max() > 200, "16 bits would not be tested otherwise"
    np.testing.assert_allclose(back.normals, clip.normals, rtol=0, atol=1.01 / 255)
    np.testing.assert_allclose(back.flow, clip.flow, rtol=0, atol=0.5 / 64 + 1e-6)
    for name in ("key", "video", "split", "fps", "start", "intrinsics", "label_set"):
        assert getattr(back, name) == getattr(clip, name)


def test_images_come_back_as_rgb(make_clip):
    clip = make_clip(frames=2)
    clip.images[..., 0] = 200
    clip.images[..., 2] = 30

    back = decode_clip(encode_clip(clip))

    assert np.abs(back.images.astype(int) - clip.images).max() <= 4


def test_same_clip_gives_same_bytes(make_clip):
    assert encode_clip(make_clip()) == encode_clip(make_clip())


def test_labels_that_say_nothing_are_left_out(make_clip):
    clip = make_clip(frames=3, normals=None)
    clip.semseg[1] = 255
    clip.depth[2] = 0

    fields = encode_clip(clip)

    assert labelled_frames(fields, "semseg") == [0, 2]
    assert labelled_frames(fields, "depth") == [0, 1]
    assert labelled_frames(fields, "normals") == []
    assert labelled_frames(fields, "flow") == [1, 2]
    assert labelled_frames(fields, "image") == [0, 1, 2]
    back = decode_clip(fields)
    assert (back.semseg[1] == 255).all()
    assert (back.depth[2] == 0).all()
    assert back.normals is None


def test_only_what_is_asked_for_is_decoded(make_clip):
    clip = make_clip(frames=4)
    fields = encode_clip(clip)
    for t in (0, 2):
        for what in ("image", "semseg", "depth", "normals"):
            fields[field_name(t, what)] = b"broken"
    fields[field_name(3, "depth")] = b"broken"

    back = decode_clip(fields, frames=[3, 1], want=("semseg",))

    np.testing.assert_array_equal(back.semseg, clip.semseg[[3, 1]])
    assert (back.depth == 0).all()
    assert back.normals is None
    assert back.flow is None


def test_depth_that_does_not_fit_is_none(make_clip):
    clip = make_clip(frames=1)
    clip.depth[0, 0, :4] = [256.0, np.inf, np.nan, -1.0]

    assert (decode_clip(encode_clip(clip)).depth[0, 0, :4] == 0).all()


def test_more_than_a_hundred_frames_keep_their_order(make_clip):
    clip = make_clip(frames=101, height=3, width=3, normals=None, flow=None)

    back = decode_clip(encode_clip(clip))

    np.testing.assert_array_equal(back.semseg, clip.semseg)
    assert labelled_frames(encode_clip(clip), "semseg") == list(range(101))


def test_png_holds_what_the_format_says(make_clip):
    """Read with another library: 16-bit depth, KITTI flow, 8-bit normals in RGB order."""
    import cv2

    clip = make_clip(frames=2, height=3, width=3)
    clip.depth[1, 0, 0] = 3.5
    clip.flow[1, 1, 1] = (2.5, -4.0)
    clip.normals[1, 1, 0] = (1, 0, -1)
    fields = encode_clip(clip)

    def raw(what: str) -> np.ndarray:
        buffer = np.frombuffer(fields[field_name(1, what)], np.uint8)
        return cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)

    assert raw("depth").dtype == np.uint16
    assert raw("depth")[0, 0] == 3.5 * 256
    blue, green, red = raw("flow")[1, 1]
    assert (red, green, blue) == (2.5 * 64 + 2**15, -4 * 64 + 2**15, 1)
    blue, green, red = raw("normals")[1, 0]
    assert (red, green, blue) == (255, 128, 0)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"key": "a.b"}, "without dots"),
        ({"depth": np.zeros((3, 5, 5), np.float32)}, "depth is"),
        ({"semseg": np.zeros((3, 18, 26), np.int64)}, "uint8"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(make_clip, changes, message):
    clip: ClipArrays = replace(make_clip(), **changes)

    with pytest.raises(ValueError, match=message):
        encode_clip(clip)


@pytest.mark.parametrize(
    "name, data, message",
    [
        ("01.image.jpg", b"", "01.image.jpg"),
        ("01.semseg.png", b"nonsense", "01.semseg.png: not a readable image"),
        (META_FIELD, b"{", "not JSON"),
    ],
)
def test_damaged_fields_are_named(make_clip, name, data, message):
    fields = {**encode_clip(make_clip()), name: data}

    with pytest.raises(ValueError, match=message) as error:
        decode_clip(fields, key="train-07")
    assert "train-07" in str(error.value)


def test_wrong_kind_of_png_is_named(make_clip):
    fields = encode_clip(make_clip())
    fields["00.depth.png"] = fields["00.semseg.png"]

    with pytest.raises(ValueError, match=r"00.depth.png: 1 channel.* uint8, expected .*uint16"):
        decode_clip(fields)


def test_missing_field_and_other_size_are_named(make_clip):
    fields = encode_clip(make_clip())
    meta = {**json.loads(fields[META_FIELD]), "height": 17}

    with pytest.raises(ValueError, match=r"meta.json says 17x26"):
        decode_clip({**fields, META_FIELD: json.dumps(meta).encode()})
    with pytest.raises(ValueError, match=r"no field 02.image.jpg"):
        decode_clip({k: v for k, v in fields.items() if k != "02.image.jpg"})


@pytest.mark.parametrize("name", ["fps", "frames", "intrinsics", "depth_units_per_metre"])
def test_entries_that_are_missing_or_of_another_type_are_named(make_clip, name):
    fields = encode_clip(make_clip())
    meta = json.loads(fields[META_FIELD])
    others = {k: v for k, v in meta.items() if k != name}

    with pytest.raises(ValueError, match=f"sample 'train-07': meta.json has no entry {name}"):
        decode_clip({**fields, META_FIELD: json.dumps(others).encode()}, key="train-07")
    meta[name] = "fast"
    with pytest.raises(ValueError, match=f"sample 'train-07': meta.json says {name} = 'fast'"):
        decode_clip({**fields, META_FIELD: json.dumps(meta).encode()}, key="train-07")


def test_meta_data_that_is_no_tree_or_has_no_scale_is_named(make_clip):
    fields = encode_clip(make_clip())
    meta = {**json.loads(fields[META_FIELD]), "depth_units_per_metre": 0}

    with pytest.raises(ValueError, match=r"meta.json has no entry video"):
        decode_clip({**fields, META_FIELD: b"[]"})
    with pytest.raises(ValueError, match=r"depth_units_per_metre of meta.json is not positive"):
        decode_clip({**fields, META_FIELD: json.dumps(meta).encode()})
