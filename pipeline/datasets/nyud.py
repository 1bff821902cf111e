"""NYUd v2: 1449 labelled frames in one .mat file, the raw video before them in folders.

`nyu_depth_v2_labeled.mat`, `splits.mat` and `classMapping40.mat`; under `raw/` the scene folders
with `r-<seconds>-<ticks>.ppm`; under `normals/` one `<number>.png` per labelled frame.

Source: Silberman et al., ECCV 2012; 40 classes after Gupta et al., CVPR 2013, 13 after Couprie et
al., ICLR 2013; lens of the colour camera as in the official toolbox. Depth is the measured one, not
the filled one. Raw frames bring no depth: only the labelled frame is learnt from.
"""

import faulthandler
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mila.data.codecs import normals_from_rgb
from mila.data.sample import Split
from pipeline.datasets.files import IMAGE_SUFFIXES, existing, look_up, read_rgb, read_values
from pipeline.datasets.recording import DataSet, Frame, Recording, choice, key_of
from pipeline.words import whole_number

_LABELED = "nyu_depth_v2_labeled.mat"
_FPS = 30.0
_DEPTH_UNITS = 5000.0
_NUM_FINE = 40
_THIRTEEN = np.array(
    [
        *(12, 5, 6, 1, 4, 9, 10, 12, 13, 6, 8, 6, 13, 10, 6, 13, 6, 7, 7, 5),
        *(7, 3, 2, 6, 11, 7, 7, 7, 7, 7, 7, 6, 7, 7, 7, 7, 7, 7, 6, 7),
    ]
)
"""Of each of the 40 classes the one of the 13, both counted from 1."""

_FOCAL = (518.85790117450188, 519.46961112127485)
_CENTRE = (325.58244941119034, 253.73616633400465)
_DISTORTION = (
    2.0796615318809061e-01,
    -5.8613825163911781e-01,
    7.2231363135888329e-04,
    1.0479627195765181e-03,
    4.9856986684705107e-01,
)


@dataclass(frozen=True)
class _Labelled:
    """One entry of the .mat file."""

    root: Path
    index: int
    """From 0."""
    label_set: str
    table: npt.NDArray[np.int64]
    """Raw label to class of the label set, 255 void."""

    @property
    def normals(self) -> Path | None:
        """The file with its normals, if there is one."""
        return existing(self.root / "normals" / f"{self.index + 1:04d}", ".png")


def find(root: Path, words: Mapping[str, str]) -> list[Recording]:
    """One clip per labelled frame: the raw frames before it, undistorted, then the labelled one.

    Where the raw frames of a scene are not there, its clips have the labelled frame only.
    """
    labels = choice(words, "labels", ("nyud40", "nyud13"))
    before = whole_number(words, "before", 9, least=0)
    if "before" in words and not (root / "raw").is_dir():
        raise ValueError(f"before={before}: no folder {root / 'raw'} with the raw frames")
    table = _class_table(root, labels)
    names = _raw_names(root)
    recordings = []
    for split, indices in _splits(root, len(names)).items():
        for index in indices:
            entry = _Labelled(root, index, labels, table)
            recordings.append(_recording(entry, split, names[index], before))
    return recordings


def _recording(entry: _Labelled, split: Split, name: str, before: int) -> Recording:
    raw = _frames_before(entry.root / "raw" / name, before)
    return Recording(
        key=key_of(split, f"{entry.index + 1:04d}"),
        video=name.split("/")[0],
        split=split,
        fps=_FPS,
        start=entry.index,
        frames=(*(partial(_read_raw, path) for path in raw), partial(_read_labelled, entry)),
        label_set=entry.label_set,
        depth_units_per_metre=_DEPTH_UNITS,
        intrinsics=(*_FOCAL, *_CENTRE),
    )


def _splits(root: Path, count: int) -> dict[Split, list[int]]:
    """The official split; its indices count from 1."""
    splits = _load_mat(root / "splits.mat")
    found: dict[Split, list[int]] = {}
    names: Sequence[tuple[Split, str]] = (("train", "trainNdxs"), ("test", "testNdxs"))
    for split, name in names:
        numbers = np.asarray(splits.get(name, ())).ravel().astype(int)
        if not len(numbers) or numbers.min() < 1 or numbers.max() > count:
            raise ValueError(f"{root / 'splits.mat'}: {name} must hold numbers from 1 to {count}")
        found[split] = [int(number) - 1 for number in numbers]
    return found


def _class_table(root: Path, labels: str) -> npt.NDArray[np.int64]:
    """Raw label (0 = none) to class id."""
    mapping = _load_mat(root / "classMapping40.mat")
    fine = np.asarray(mapping.get("mapClass", ())).ravel().astype(int)
    if not len(fine) or fine.min() < 0 or fine.max() > _NUM_FINE:
        raise ValueError(f"{root / 'classMapping40.mat'}: mapClass must hold classes 1 to 40")
    from_fine = np.arange(_NUM_FINE) if labels == "nyud40" else _THIRTEEN - 1
    with_void = np.concatenate([[255], from_fine])
    return np.concatenate([[255], with_void[fine]])


def _raw_names(root: Path) -> list[str]:
    """The raw colour frame of every labelled one, relative to the raw data."""
    with _open_labelled(root) as file:
        references = _entry(root, file, "rawRgbFilenames").ravel()
        return ["".join(chr(c) for c in _entry(root, file, ref).ravel()) for ref in references]


def _frames_before(last: Path, count: int) -> list[Path]:
    """Up to `count` raw colour frames before `last` in its folder; times are in the names."""
    folder = last.parent
    if not count or not folder.is_dir():
        return []
    found = [p for p in folder.glob("[rR]-*") if p.suffix.lower() in IMAGE_SUFFIXES]
    earlier = sorted((p for p in found if _time(p) < _time(last)), key=_time)
    return earlier[-count:]


def _time(path: Path) -> float:
    """Seconds from a name such as r-1294889612.886648-2835802.ppm."""
    try:
        return float(path.name.split("-")[1])
    except (IndexError, ValueError):
        raise ValueError(f"{path}: expected a name like r-<seconds>-<ticks>.ppm") from None


def _read_raw(path: Path) -> Frame:
    """A raw colour frame without the lens's distortion, as the labelled ones are."""
    camera = np.array([[_FOCAL[0], 0, _CENTRE[0]], [0, _FOCAL[1], _CENTRE[1]], [0, 0, 1]])
    straight = cv2.undistort(read_rgb(path), camera, np.array(_DISTORTION))
    return Frame(np.asarray(straight, np.uint8), files={"image": path})


def _read_labelled(entry: _Labelled) -> Frame:
    with _open_labelled(entry.root) as file:
        # MATLAB keeps columns first: (3, W, H) is an image, (W, H) a map.
        parts = [
            _entry(entry.root, file, n, entry.index) for n in ("images", "labels", "rawDepths")
        ]
    image, raw, depth = (np.ascontiguousarray(part.T) for part in parts)
    labels, normals = entry.root / _LABELED, entry.normals
    files = {"image": labels, "semseg": labels, "depth": labels}
    return Frame(
        image,
        semseg=look_up(raw, entry.table, labels),
        depth=np.nan_to_num(depth.astype(np.float32), nan=0, posinf=0, neginf=0),
        normals=_read_normals(normals) if normals else None,
        files={**files, "normals": normals} if normals else files,
    )


def _read_normals(path: Path) -> npt.NDArray[np.float32]:
    normals = normals_from_rgb(read_values(path, np.uint8, channels=3))
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    return np.divide(normals, length, out=np.zeros_like(normals), where=length > 0.5)


def _open_labelled(root: Path) -> Any:
    try:
        import h5py  # extra [datasets]
    except ImportError:
        raise ValueError("NYUd v2 needs h5py: pip install 'mila[datasets]'") from None
    path = root / _LABELED
    if not path.is_file():
        raise ValueError(f"{path}: missing")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path}: not a MATLAB 7.3 file ({error})") from None


def _entry(root: Path, file: Any, name: Any, index: int | None = None) -> npt.NDArray[Any]:
    """An array of the .mat file, or one entry of it (from 0)."""
    where = f"{root / _LABELED}: {name if isinstance(name, str) else 'a name in rawRgbFilenames'}"
    try:
        return np.asarray(file[name] if index is None else file[name][index])
    except (LookupError, ValueError, TypeError):
        which = "" if index is None else f" of labelled frame {index + 1}"
        raise ValueError(f"{where}{which} is missing") from None
    except OSError as error:
        raise ValueError(f"{where} cannot be read ({error})") from None


def _load_mat(path: Path) -> dict[str, Any]:
    try:
        from scipy.io import loadmat  # extra [datasets]
    except ImportError:
        raise ValueError("NYUd v2 needs scipy: pip install 'mila[datasets]'") from None
    if not path.is_file():
        raise ValueError(f"{path}: missing")
    # In a process of its own: a damaged file may end it (scipy 1.17, a changed length). A changed
    # type lets the reader look beyond its table: whatever it raises then, the file is at fault.
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, fork, initializer=faulthandler.disable) as alone:
        reading = alone.submit(loadmat, path)
    error = reading.exception()
    if error is not None:
        raise ValueError(f"{path}: not a MATLAB file before 7.3 ({error})")
    return dict(reading.result())


NYUD = DataSet(
    layout=f"{_LABELED}, splits.mat, classMapping40.mat; raw/<scene>/r-*.ppm; normals/<number>.png",
    words={
        "labels": "nyud40 (default) or nyud13",
        "before": "raw frames of a clip before the labelled one (9)",
    },
    find=find,
)
