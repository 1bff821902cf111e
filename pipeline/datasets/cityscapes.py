"""Cityscapes: 30-frame snippets at 17 frames/s, the 20th frame labelled; depth from disparity.

Files `<root>/<kind>/<split>/<city>/<city>_<sequence>_<frame>_<suffix>`, kinds
`leftImg8bit_sequence` (or `leftImg8bit`: labelled frames only), `gtFine`, `disparity_sequence` or
`disparity`, `camera`.

Source: Cordts et al., CVPR 2016. Label ids become train ids; disparity p > 0 means (p - 1) / 256
pixels. Our choice: the car itself, the border of rectification and what is out of region (ids 1..3)
have no depth.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mila.data.sample import SPLITS, Split
from pipeline.datasets.files import existing, listed, look_up, read_rgb, read_values
from pipeline.datasets.recording import DataSet, Frame, Recording, key_of
from pipeline.words import whole_number

_FPS = 17.0
_LABEL = "gtFine_labelIds"
_BEFORE_LABEL = 19
_DEPTH_UNITS = 256.0
_NO_DEPTH_IDS = (1, 2, 3)
_TRAIN_IDS = np.full(256, -1)
_TRAIN_IDS[[*range(34), 255]] = 255
_TRAIN_IDS[[7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]] = range(19)


@dataclass(frozen=True)
class Camera:
    """One camera file."""

    baseline: float
    """Metres."""
    fx: float
    fy: float
    cx: float
    cy: float


@dataclass(frozen=True)
class _Place:
    """A frame of the data set by its place in the tree."""

    root: Path
    split: Split
    city: str
    sequence: str
    frame: int

    def path(self, kind: str, ending: str) -> Path:
        name = f"{self.city}_{self.sequence}_{self.frame:06d}_{ending}"
        return self.root / kind / self.split / self.city / name

    @cached_property
    def images(self) -> str:
        """The kind that holds the images."""
        sequence = "leftImg8bit_sequence"
        return sequence if (self.root / sequence).is_dir() else "leftImg8bit"

    @property
    def image(self) -> Path | None:
        return existing(self.path(self.images, "leftImg8bit"), ".png", ".jpg")

    @property
    def label(self) -> Path | None:
        return existing(self.path("gtFine", _LABEL), ".png")

    @property
    def disparity(self) -> Path | None:
        for kind in ("disparity_sequence", "disparity"):
            if path := existing(self.path(kind, "disparity"), ".png"):
                return path
        return None


def find(root: Path, words: Mapping[str, str]) -> list[Recording]:
    """One clip per labelled frame: the frames before it, then the labelled one.

    Raises:
        ValueError: If the tree is another one, or frames or cameras are missing (it lists them).
    """
    before = whole_number(words, "before", 9, least=0)
    if before > _BEFORE_LABEL:
        raise ValueError(f"before={before}: a snippet has {_BEFORE_LABEL} frames before its label")
    labelled = [place for split in SPLITS for place in _labelled(root, split)]
    if not labelled:
        raise ValueError(f"{root}: expected gtFine/<split>/<city>/*_gtFine_labelIds.png")
    if labelled[0].images == "leftImg8bit":
        if "before" in words:
            raise ValueError(f"before={before}: no folder {root / 'leftImg8bit_sequence'}")
        before = 0
    recordings, missing = [], []
    for place in labelled:
        clip = [_at(place, place.frame - age) for age in range(before, -1, -1)]
        missing += [
            frame.path(frame.images, "leftImg8bit.png") for frame in clip if not frame.image
        ]
        recordings.append(_recording(clip))
    if missing:
        raise ValueError(f"missing frames: {listed(missing)}")
    return recordings


def read_camera(path: Path) -> Camera:
    """Read one camera file.

    Raises:
        ValueError: If it is missing or has no baseline or intrinsics.
    """
    try:
        tree = json.loads(path.read_text())
        inner = tree["intrinsic"]
        numbers = (tree["extrinsic"]["baseline"], *(inner[n] for n in ("fx", "fy", "u0", "v0")))
        return Camera(*(float(number) for number in numbers))
    except FileNotFoundError:
        raise ValueError(f"{path}: missing, and needed for depth") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a camera file ({error})") from None


def depth_from_disparity(
    values: npt.NDArray[np.generic], camera: Camera
) -> npt.NDArray[np.float32]:
    """Metres from the 16-bit disparity image; 0 where there is no disparity or it is 0 pixels."""
    pixels = (values.astype(np.float64) - 1) / 256
    depth = np.zeros(values.shape, np.float32)
    seen = pixels > 0
    depth[seen] = camera.baseline * camera.fx / pixels[seen]
    return depth


def _labelled(root: Path, split: Split) -> list[_Place]:
    places = []
    for path in sorted((root / "gtFine" / split).glob(f"[!.]*/[!.]*_{_LABEL}.[pP][nN][gG]")):
        *city, sequence, frame = path.stem.removesuffix(f"_{_LABEL}").split("_")
        if not city or not frame.isdecimal():
            raise ValueError(f"{path}: expected a name like city_000000_000019_{_LABEL}.png")
        places.append(_Place(root, split, "_".join(city), sequence, int(frame)))
    return places


def _at(place: _Place, frame: int) -> _Place:
    return _Place(place.root, place.split, place.city, place.sequence, frame)


def _recording(clip: list[_Place]) -> Recording:
    last = clip[-1]
    camera_path = last.path("camera", "camera.json")
    has_depth = any(place.disparity for place in clip)
    camera = read_camera(camera_path) if has_depth or camera_path.is_file() else None
    return Recording(
        key=key_of(last.split, last.city, last.sequence, f"{last.frame:06d}"),
        video=f"{last.city}_{last.sequence}",
        split=last.split,
        fps=_FPS,
        start=clip[0].frame,
        frames=tuple(partial(_read, place, camera) for place in clip),
        depth_units_per_metre=_DEPTH_UNITS,
        intrinsics=(camera.fx, camera.fy, camera.cx, camera.cy) if camera else None,
    )


def _read(place: _Place, camera: Camera | None) -> Frame:
    image = place.image
    assert image, "checked when the clips were found"
    semseg = depth = None
    label, disparity = place.label, place.disparity
    files = {"image": image}
    if disparity and camera:
        depth = depth_from_disparity(read_values(disparity, np.uint16), camera)
        files["depth"] = disparity
    if label:
        files["semseg"] = label
        ids = read_values(label, np.uint8)
        semseg = look_up(ids, _TRAIN_IDS, label)
        if depth is not None and depth.shape == ids.shape:
            depth[np.isin(ids, _NO_DEPTH_IDS)] = 0
    return Frame(read_rgb(image), semseg=semseg, depth=depth, files=files)


CITYSCAPES = DataSet(
    layout="leftImg8bit_sequence (or leftImg8bit), gtFine, disparity(_sequence) and camera",
    words={"before": "frames of a clip before the labelled one, 0..19 (9)"},
    find=find,
)
