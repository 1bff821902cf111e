"""Reading the image files of data sets: exact values, and errors that name the file."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".ppm", ".tif", ".tiff")
"""Upper case is fine too."""

_NAMED_AT_MOST = 5
_PALETTE = 3
"""PNG's number for images whose values point into a table of colours."""


def read_rgb(path: Path) -> npt.NDArray[np.uint8]:
    """An image as 8-bit RGB, (H, W, 3).

    Raises:
        ValueError: If the file is missing or is no image.
    """
    bgr = cv2.imdecode(_bytes_of(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if bgr is None:
        raise ValueError(f"{path}: not a readable image")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def read_values(
    path: Path, *dtypes: type[np.generic], channels: int = 1
) -> npt.NDArray[np.generic]:
    """A label image with the values it holds: (H, W), or (H, W, 3) in RGB order.

    Args:
        path: PNG or TIFF.
        dtypes: Types of value the format allows.
        channels: 1 or 3.

    Raises:
        ValueError: If the file is missing, is no image, or holds something else.
    """
    data = _bytes_of(path)
    if reason := _spoils_values(data[:26].tobytes()):
        raise ValueError(f"{path}: {reason}")
    pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError(f"{path}: not a readable image")
    got = 1 if pixels.ndim == 2 else pixels.shape[2]
    if pixels.dtype not in dtypes or got != channels:
        names = " or ".join(np.dtype(dtype).name for dtype in dtypes)
        raise ValueError(
            f"{path}: {got} channel(s) of {pixels.dtype}, expected {channels} of {names}"
        )
    return np.asarray(pixels if channels == 1 else pixels[..., ::-1])


def look_up(
    ids: npt.NDArray[np.generic], table: npt.NDArray[np.int64], path: Path
) -> npt.NDArray[np.uint8]:
    """Class ids through a table; -1 in it marks ids that the data set does not have.

    Raises:
        ValueError: If such an id occurs.
    """
    small = np.minimum(ids.astype(np.int64), len(table) - 1)
    mapped = np.where(ids < len(table), table[small], -1)
    if (mapped < 0).any():
        wrong = ", ".join(str(v) for v in np.unique(ids[mapped < 0])[:_NAMED_AT_MOST])
        raise ValueError(f"{path}: label ids {wrong} are none of this data set")
    return mapped.astype(np.uint8)


def images_by_stem(folder: Path, suffix: str = "") -> dict[str, Path]:
    """Images of a folder whose stem ends in `suffix`, by the stem without it.

    Hidden files do not count: some systems put one beside every other.

    Raises:
        ValueError: If two files share a stem.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        if path.stem.endswith(suffix):
            stem = path.stem.removesuffix(suffix)
            if stem in found:
                raise ValueError(f"{path}: there is {found[stem].name} too; which one is right?")
            found[stem] = path
    return found


def refuse_orphans(
    labels: Mapping[str, Path], images: Mapping[str, Path], what: str = "labels"
) -> None:
    """Refuse labels without an image: a picture is missing.

    Raises:
        ValueError: If there are any; it lists them.
    """
    if orphans := sorted(set(labels) - set(images)):
        raise ValueError(f"no image for the {what} {listed(labels[stem] for stem in orphans)}")


def existing(path: Path, *suffixes: str) -> Path | None:
    """The first of `path` plus suffix, in either case, that is there; a link to nothing counts.

    Reading it is an error then, where a label would be lost otherwise.
    """
    for suffix in suffixes:
        for name in (f"{path.name}{suffix}", f"{path.name}{suffix.upper()}"):
            if os.path.lexists(path.with_name(name)):
                return path.with_name(name)
    return None


def listed(names: Iterable[object]) -> str:
    """The first few names, and how many more there are."""
    every = [str(name) for name in names]
    more = len(every) - _NAMED_AT_MOST
    return ", ".join(every[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def trailing_number(name: str, path: Path) -> int:
    """The number at the end of a name.

    Args:
        name: The name.
        path: Where it is from, for the message.

    Raises:
        ValueError: If there is none.
    """
    match = re.search(r"([0-9]+)$", name)
    if match is None:
        raise ValueError(f"{path}: expected a name that ends in a number, got {name!r}")
    return int(match.group(1))


def _spoils_values(head: bytes) -> str | None:
    """Why a file cannot hold exact values, from its first bytes (PNG: signature and IHDR)."""
    if head.startswith(b"\xff\xd8\xff"):
        return "a JPEG changes the values of labels; expected PNG"
    if not head.startswith(b"\x89PNG") or len(head) < 26:
        return None
    bits, colour_type = head[24], head[25]
    if colour_type == _PALETTE:
        return "an image with a palette holds colours; expected values in grey"
    return f"values of {bits} bits, expected 8 or 16" if bits < 8 else None


def _bytes_of(path: Path) -> npt.NDArray[np.uint8]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    if not data:
        raise ValueError(f"{path}: empty file")
    return np.frombuffer(data, np.uint8)
