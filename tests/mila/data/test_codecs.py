import sys

import numpy as np
import pytest

from mila.data import codecs


def test_both_jpeg_decoders_agree(monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    data = codecs.encode_jpeg(image, 95)
    fast = codecs.decode_jpeg(data)

    monkeypatch.setitem(sys.modules, "simplejpeg", None)

    np.testing.assert_array_equal(codecs.decode_jpeg(data), fast)


def test_colours_are_not_subsampled():
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, ::2, 0] = 255

    back = codecs.decode_jpeg(codecs.encode_jpeg(image, 100)).astype(int)

    assert np.abs(back - image).max() < 12


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (4, 4, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_is_exact(shape, dtype):
    pixels = np.random.default_rng(1).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)

    np.testing.assert_array_equal(codecs.decode_png(codecs.encode_png(pixels)), pixels)


def test_png_agrees_with_pillow():
    from io import BytesIO

    from PIL import Image

    pixels = np.random.default_rng(2).integers(0, 256, (5, 7, 3), dtype=np.uint8)

    seen = np.asarray(Image.open(BytesIO(codecs.encode_png(pixels))))

    np.testing.assert_array_equal(seen, pixels)


@pytest.mark.parametrize("data", [b"", b"no image"])
def test_what_is_no_image_is_refused(data, monkeypatch):
    with pytest.raises(ValueError, match="not a readable image"):
        codecs.decode_png(data)
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    with pytest.raises(ValueError, match="not a readable image"):
        codecs.decode_jpeg(data)


def test_depth_units_survive_a_round_trip():
    units = np.arange(2**16, dtype=np.uint16)[None]
    for per_metre in (256.0, 1000.0, 5000.0):
        metres = (units / np.float32(per_metre)).astype(np.float32)
        np.testing.assert_array_equal(codecs.depth_to_units(metres, per_metre), units)


def test_zero_normals_stay_zero():
    normals = np.zeros((1, 2, 3), np.float32)
    normals[0, 1] = (0.6, 0, -0.8)

    back = codecs.normals_from_rgb(codecs.normals_to_rgb(normals))

    assert (back[0, 0] == 0).all()
    np.testing.assert_allclose(back[0, 1], normals[0, 1], atol=1.01 / 255)


def test_flow_beyond_its_range_is_invalid():
    flow = np.array([[[511.9, 0], [600, 0], [np.nan, 1], [-512, -512]]], np.float32)

    back = codecs.flow_from_rgb(codecs.flow_to_rgb(flow))

    assert np.isnan(back[0]).any(axis=-1).tolist() == [False, True, True, False]
