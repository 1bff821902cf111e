"""Labels and depths in encodings that cannot hold them are named, in every data set."""

import struct
import zlib

import cv2
import numpy as np
import pytest

from tests.pipeline.datasets.reading import DEPTHS, LABELS, clips_of


def png(values, *, bits, colour_type, palette=b"") -> bytes:
    """A PNG written by hand: OpenCV writes no few bits and no palettes."""
    packed = [np.packbits(_bits(row, bits)).tobytes() for row in values]
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, colour_type, 0, 0, 0)
    body = _chunk(b"PLTE", palette) if palette else b""
    body += _chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in packed)))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + body + _chunk(b"IEND", b"")


def _bits(row, bits):
    return [value >> i & 1 for value in row.tolist() for i in range(bits - 1, -1, -1)]


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


IDS = np.full((12, 20), 3, np.uint8)


def jpeg(_shape):
    return cv2.imencode(".jpg", IDS)[1].tobytes()


def with_palette(_shape):
    return png(IDS, bits=8, colour_type=3, palette=bytes(range(96)))


def four_bits(_shape):
    return png(IDS, bits=4, colour_type=0)


def sixteen_bits(shape):
    return cv2.imencode(".png", np.full(shape, 3000, np.uint16))[1].tobytes()


def with_alpha(_shape):
    return cv2.imencode(".png", np.full((12, 20, 4), 7, np.uint8))[1].tobytes()


def unknown_ids(shape):
    """In grey an id, in RGB a colour that no class has."""
    return cv2.imencode(".png", np.full(shape, 77, np.uint8))[1].tobytes()


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize(
    "make, message",
    [
        (jpeg, "a JPEG changes the values of labels"),
        (with_palette, "an image with a palette holds colours"),
        (four_bits, "values of 4 bits, expected 8 or 16"),
        (sixteen_bits, "of uint16, expected"),
        (with_alpha, "4 channel"),
        (unknown_ids, "label ids 77 are none of this data set"),
    ],
)
def test_labels_that_are_none_are_named(tree, name, make, message):
    path = tree(name) / LABELS[name]
    path.write_bytes(make((12, 20, 3) if name == "kitti_step" else (12, 20)))

    with pytest.raises(ValueError, match=f"{path.name}: .*{message}"):
        clips_of(name, tree(name))


@pytest.mark.parametrize("name", ["camvid", "cityscapes"])
def test_coloured_labels_are_named(tree, name):
    path = tree(name) / LABELS[name]
    cv2.imwrite(str(path), np.full((12, 20, 3), (128, 64, 129), np.uint8))

    with pytest.raises(ValueError, match=f"{path.name}: 3 channel.*expected 1 of uint8"):
        clips_of(name, tree(name))


@pytest.mark.parametrize("name", DEPTHS)
@pytest.mark.parametrize(
    "values, message",
    [
        (np.full((12, 20), 9, np.uint8), "1 channel.* of uint8, expected 1 of uint16"),
        (np.full((12, 20, 3), 9, np.uint16), "3 channel.* of uint16"),
    ],
)
def test_depth_of_another_kind_is_named(tree, name, values, message):
    path = tree(name) / DEPTHS[name]
    cv2.imwrite(str(path), values)

    with pytest.raises(ValueError, match=f"{path.name}: {message}"):
        clips_of(name, tree(name))
