"""Reading the image files of data sets: exact values, and errors that name the file."""

import re
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".ppm")

_NAMED_AT_MOST = 5


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
    pixels = cv2.imdecode(_bytes_of(path), cv2.IMREAD_UNCHANGED)
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

    Raises:
        ValueError: If two files share a stem.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix.lower() in IMAGE_SUFFIXES and path.stem.endswith(suffix):
            stem = path.stem.removesuffix(suffix)
            if stem in found:
                raise ValueError(f"{path}: there is {found[stem].name} too; which one is right?")
            found[stem] = path
    return found


def existing(path: Path) -> Path | None:
    """The path if there is such a file."""
    return path if path.is_file() else None


def listed(names: Iterable[object]) -> str:
    """The first few names, and how many more there are."""
    every = [str(name) for name in names]
    more = len(every) - _NAMED_AT_MOST
    return ", ".join(every[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def trailing_number(name: str) -> int:
    """The number at the end of a name.

    Raises:
        ValueError: If there is none.
    """
    match = re.search(r"(\d+)$", name)
    if match is None:
        raise ValueError(f"{name}: expected a name that ends in a number")
    return int(match.group(1))


def _bytes_of(path: Path) -> npt.NDArray[np.uint8]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    if not data:
        raise ValueError(f"{path}: empty file")
    return np.frombuffer(data, np.uint8)
