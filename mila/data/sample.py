"""What one sample holds: a clip of video with its labels, as arrays and as encoded members.

T frames of a clip, H rows, W columns. A sample is a key without dots and a set of fields; field
names are `<frame>.<what>.<codec>`, for instance `03.semseg.png`, and `meta.json`.

Images are JPEG, labels PNG; how a label becomes pixels is in `mila.data.codecs`.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mila.data import codecs
from mila.data.codecs import Float32, UInt8
from mila.tasks import IGNORE_LABEL

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
LABEL_FIELDS = ("semseg", "depth", "normals", "flow")
META_FIELD = "meta.json"
_META_TYPES: dict[str, Any] = {
    **dict.fromkeys(("video", "split", "label_set"), str),
    **dict.fromkeys(("start", "frames", "height", "width"), int),
    **dict.fromkeys(("fps", "depth_units_per_metre"), int | float),
    "intrinsics": list | None,
}


@dataclass(frozen=True)
class ClipArrays:
    """One clip, decoded; T is the whole clip, or the frames that were asked for."""

    key: str
    """Name of the clip, without dots."""
    video: str
    """Name of the video it was cut from; a video lies in one split only."""
    split: Split
    fps: float
    """Frames per second of the video."""
    start: int
    """Index of the clip's first frame in its video."""
    images: UInt8
    """RGB, (T, H, W, 3)."""
    semseg: UInt8
    """Class ids of `label_set`, (T, H, W); 255 where nothing is known."""
    depth: Float32
    """Metres along the optical axis, (T, H, W); 0 where nothing is known."""
    normals: Float32 | None = None
    """Unit normals in camera axes, (T, H, W, 3); zero vectors where nothing is known."""
    flow: Float32 | None = None
    """Backward flow in pixels, (T, H, W, 2): (u, v) such that the point seen at (x, y) in frame t
    was at (x + u, y + v) in frame t - 1; NaN where it was hidden or outside. Frame 0 has none."""
    intrinsics: tuple[float, float, float, float] | None = None
    """fx, fy, cx, cy in pixels of these images."""
    label_set: str = "cityscapes"
    depth_units_per_metre: float = 256.0
    """Value of one metre in the 16-bit depth image."""


def field_name(frame: int, what: str) -> str:
    """The field that holds `what` ("image" or a label) of one frame of the clip."""
    return f"{frame:02d}.{what}.{'jpg' if what == 'image' else 'png'}"


def labelled_frames(fields: Collection[str], what: str) -> list[int]:
    """Frames of a sample that have this label (or image), in order."""
    heads = (name.partition(".")[0] for name in fields)
    frames = {int(head) for head in heads if head.isdecimal()}
    return sorted(frame for frame in frames if field_name(frame, what) in fields)


def encode_clip(clip: ClipArrays, quality: int = 95) -> dict[str, bytes]:
    """Encode a clip as the fields of one sample; the same arrays give the same bytes.

    A label that says nothing anywhere in a frame is left out. Depth beyond 16 bits and flow
    beyond 512 pixels become "none".

    Args:
        clip: The clip.
        quality: JPEG quality, 1..100; chroma is never subsampled.

    Raises:
        ValueError: If the arrays differ in size or the key has a dot.
    """
    _check(clip)
    frames, height, width = clip.semseg.shape
    fields: dict[str, bytes] = {}
    for t in range(frames):
        fields[field_name(t, "image")] = codecs.encode_jpeg(clip.images[t], quality)
        for what, pixels in _label_pixels(clip, t).items():
            fields[field_name(t, what)] = codecs.encode_png(pixels)
    meta = {
        "video": clip.video,
        "split": clip.split,
        "fps": clip.fps,
        "start": clip.start,
        "frames": frames,
        "height": height,
        "width": width,
        "label_set": clip.label_set,
        "depth_units_per_metre": clip.depth_units_per_metre,
        "intrinsics": None if clip.intrinsics is None else list(clip.intrinsics),
    }
    fields[META_FIELD] = json.dumps(meta, sort_keys=True).encode()
    return fields


def decode_clip(
    fields: Mapping[str, bytes],
    *,
    key: str = "",
    frames: Sequence[int] | None = None,
    want: Collection[str] = LABEL_FIELDS,
) -> ClipArrays:
    """Decode the frames that are asked for, and of their labels only those in `want`.

    Args:
        fields: The fields of one sample.
        key: Name of the clip, for the result and for error messages.
        frames: Frames of the clip in the wished order; None decodes all of them.
        want: Labels to decode; the others come back as if the sample did not have them.

    Returns:
        The clip; T is the number of frames asked for.

    Raises:
        ValueError: If a field is missing, cannot be decoded or has another size than `meta.json`
            says.
    """
    meta = read_meta(fields, key=key)
    chosen = list(range(meta["frames"])) if frames is None else list(frames)
    reader = _FieldReader(fields, key, meta)
    shape = (len(chosen), *reader.size)
    images = np.empty((*shape, 3), np.uint8)
    semseg = np.full(shape, IGNORE_LABEL, np.uint8)
    depth = np.zeros(shape, np.float32)
    normals: Float32 | None = None
    scale = np.float32(meta["depth_units_per_metre"])
    for i, t in enumerate(chosen):
        images[i] = reader.image(t)
        if "semseg" in want and (ids := reader.png(t, "semseg", np.uint8, 1)) is not None:
            semseg[i] = ids
        if "depth" in want and (units := reader.png(t, "depth", np.uint16, 1)) is not None:
            np.divide(units, scale, out=depth[i], casting="unsafe")
        if "normals" in want and (rgb := reader.png(t, "normals", np.uint8, 3)) is not None:
            normals = np.zeros((*shape, 3), np.float32) if normals is None else normals
            normals[i] = codecs.normals_from_rgb(rgb)
    intrinsics = meta["intrinsics"]
    return ClipArrays(
        key=key,
        video=meta["video"],
        split=meta["split"],
        fps=meta["fps"],
        start=meta["start"],
        images=images,
        semseg=semseg,
        depth=depth,
        normals=normals,
        flow=_flow(reader, chosen) if "flow" in want else None,
        intrinsics=None if intrinsics is None else tuple(intrinsics),
        label_set=meta["label_set"],
        depth_units_per_metre=meta["depth_units_per_metre"],
    )


def decode_flow(
    fields: Mapping[str, bytes], *, key: str = "", frames: Sequence[int]
) -> Float32 | None:
    """Decode optical flow alone, (T, H, W, 2); None if no frame asked for has any.

    Raises:
        ValueError: As `decode_clip`.
    """
    return _flow(_FieldReader(fields, key, read_meta(fields, key=key)), frames)


def read_meta(fields: Mapping[str, bytes], *, key: str = "") -> dict[str, Any]:
    """What `meta.json` of a sample says.

    Raises:
        ValueError: If the field is missing or is not JSON, or an entry is missing or of another
            type.
    """
    try:
        meta: dict[str, Any] = json.loads(fields[META_FIELD])
    except KeyError:
        raise ValueError(f"sample {key!r} has no field {META_FIELD}") from None
    except ValueError as error:
        raise ValueError(f"sample {key!r}: {META_FIELD} is not JSON ({error})") from None
    for name, kind in _META_TYPES.items():
        if not isinstance(meta, dict) or name not in meta:
            raise ValueError(f"sample {key!r}: {META_FIELD} has no entry {name}")
        if not isinstance(meta[name], kind):
            raise ValueError(f"sample {key!r}: {META_FIELD} says {name} = {meta[name]!r}")
    if not meta["depth_units_per_metre"] > 0:
        raise ValueError(f"sample {key!r}: depth_units_per_metre of {META_FIELD} is not positive")
    return meta


def _check(clip: ClipArrays) -> None:
    """Refuse a clip whose arrays do not belong together."""
    if not clip.key or "." in clip.key or "/" in clip.key:
        raise ValueError(f"clip key {clip.key!r} must be a name without dots and slashes")
    shape = clip.images.shape[:3]
    wanted = {"images": (*shape, 3), "semseg": shape, "depth": shape}
    wanted |= {"normals": (*shape, 3), "flow": (*shape, 2)}
    for name, expected in wanted.items():
        array = getattr(clip, name)
        if array is not None and array.shape != expected:
            raise ValueError(f"clip {clip.key}: {name} is {array.shape}, expected {expected}")
    for name in ("images", "semseg"):
        if getattr(clip, name).dtype != np.uint8:
            raise ValueError(f"clip {clip.key}: {name} must be uint8")


def _flow(reader: "_FieldReader", frames: Sequence[int]) -> Float32 | None:
    """Flow of some frames; NaN for those without."""
    stored = [reader.png(t, "flow", np.uint16, 3) for t in frames]
    if all(rgb is None for rgb in stored):
        return None
    flow = np.full((len(stored), *reader.size, 2), np.nan, np.float32)
    for target, rgb in zip(flow, stored, strict=True):
        if rgb is not None:
            target[:] = codecs.flow_from_rgb(rgb)
    return flow


def _label_pixels(clip: ClipArrays, t: int) -> dict[str, codecs.Pixels]:
    """The label images of one frame in the form that is stored, those that say something."""
    pixels: dict[str, codecs.Pixels] = {}
    if (clip.semseg[t] != IGNORE_LABEL).any():
        pixels["semseg"] = clip.semseg[t]
    units = codecs.depth_to_units(clip.depth[t], clip.depth_units_per_metre)
    if units.any():
        pixels["depth"] = units
    if clip.normals is not None and clip.normals[t].any():
        pixels["normals"] = codecs.normals_to_rgb(clip.normals[t])
    if clip.flow is not None and not np.isnan(clip.flow[t]).all():
        pixels["flow"] = codecs.flow_to_rgb(clip.flow[t])
    return pixels


class _FieldReader:
    """Decodes fields of one sample and names what is wrong with them."""

    def __init__(self, fields: Mapping[str, bytes], key: str, meta: Mapping[str, Any]) -> None:
        self._fields = fields
        self._key = key
        self.size = (meta["height"], meta["width"])

    def image(self, frame: int) -> UInt8:
        name = field_name(frame, "image")
        if name not in self._fields:
            raise ValueError(f"sample {self._key!r} has no field {name}")
        try:
            image = codecs.decode_jpeg(self._fields[name])
        except ValueError as error:
            raise ValueError(f"sample {self._key!r}, field {name}: {error}") from None
        self._check_size(name, image)
        return image

    def png(
        self, frame: int, what: str, dtype: type[np.unsignedinteger[Any]], channels: int
    ) -> codecs.Pixels | None:
        """The stored values; None where the sample has no such label."""
        name = field_name(frame, what)
        if name not in self._fields:
            return None
        where = f"sample {self._key!r}, field {name}"
        try:
            pixels = codecs.decode_png(self._fields[name])
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        got = 1 if pixels.ndim == 2 else pixels.shape[2]
        if pixels.dtype != dtype or got != channels:
            expected = f"{channels} channel(s) of {dtype.__name__}"
            raise ValueError(f"{where}: {got} channel(s) of {pixels.dtype}, expected {expected}")
        self._check_size(name, pixels)
        return pixels

    def _check_size(self, name: str, pixels: codecs.Pixels) -> None:
        if pixels.shape[:2] != self.size:
            raise ValueError(
                f"sample {self._key!r}, field {name}: {pixels.shape[0]}x{pixels.shape[1]} pixels, "
                f"{META_FIELD} says {self.size[0]}x{self.size[1]}"
            )
