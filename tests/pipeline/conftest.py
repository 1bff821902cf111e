"""Tiny data sets in the layout and encoding of the real ones, odd files included."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

HEIGHT, WIDTH = 12, 20

Tree = Callable[..., Path]


def picture(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Smooth colours, other ones for every seed."""
    random = np.random.default_rng(seed)
    small = random.integers(30, 220, (3, 4, 3)).astype(np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def write(path: Path, pixels: np.ndarray) -> Path:
    """Write an image, RGB where it has three channels, in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = pixels if pixels.ndim == 2 else pixels[..., ::-1]
    assert cv2.imwrite(str(path), np.ascontiguousarray(ordered))
    return path


@pytest.fixture
def camvid_tree(tmp_path: Path) -> Path:
    """40 stills of one video, the run and what lies near it in another; PNG and JPEG images."""
    root = tmp_path / "camvid"
    for i in range(40):
        stem = f"0006R0_f{900 + 30 * i:05d}"
        write(root / "train" / f"{stem}.{'jpg' if i % 2 else 'png'}", picture(i))
        write(root / "trainannot" / f"{stem}.png", np.full((HEIGHT, WIDTH), i % 12, np.uint8))
    for number in (390, 5970, 6000, 7920):
        stem = f"0016E5_{number:05d}"
        write(root / "train" / f"{stem}.png", picture(number))
        write(root / "trainannot" / f"{stem}.png", np.full((HEIGHT, WIDTH), 3, np.uint8))
    for i in range(14):
        stem = f"0016E5_{7959 + 2 * i:05d}"
        write(root / "val" / f"{stem}.png", picture(100 + i))
        label = np.full((HEIGHT, WIDTH), i % 11, np.uint8)
        label[0] = 11
        write(root / "valannot" / f"{stem}.png", label)
    return root


@pytest.fixture
def cityscapes_tree(tmp_path: Path) -> Path:
    """Two labelled snippets of ten frames, one in train, one in val, with disparity and cameras."""
    root = tmp_path / "cityscapes"
    for split, city, sequence, labelled in (
        ("train", "aachen", "000003", 19),
        ("val", "st.gallen", "000000", 294),
    ):
        for frame in range(labelled - 9, labelled + 1):
            _cityscapes_file(root, "leftImg8bit_sequence", split, city, sequence, frame)(
                "leftImg8bit.png", picture(frame)
            )
        here = (split, city, sequence, labelled)
        ids = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 34
        _cityscapes_file(root, "gtFine", *here)("gtFine_labelIds.png", ids.astype(np.uint8))
        instances = np.where(ids >= 24, ids * 1000 + 7, ids).astype(np.uint16)
        _cityscapes_file(root, "gtFine", *here)("gtFine_instanceIds.png", instances)
        disparity = np.full((HEIGHT, WIDTH), 256 * 20 + 1, np.uint16)
        disparity[0], disparity[1] = 0, 1
        _cityscapes_file(root, "disparity", *here)("disparity.png", disparity)
        camera = {
            "extrinsic": {"baseline": 0.2, "pitch": 0.03, "roll": 0, "x": 1.7, "y": 0.1, "z": 1.2},
            "intrinsic": {"fx": 2200.0, "fy": 2210.0, "u0": 10.0, "v0": 6.0},
        }
        path = root / "camera" / split / city / f"{city}_{sequence}_{labelled:06d}_camera.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(camera))
    return root


def _cityscapes_file(
    root: Path, kind: str, split: str, city: str, sequence: str, frame: int
) -> Callable[[str, np.ndarray], Path]:
    folder = root / kind / split / city
    return lambda suffix, pixels: write(folder / f"{city}_{sequence}_{frame:06d}_{suffix}", pixels)


@pytest.fixture
def kitti_step_tree(tmp_path: Path) -> Path:
    """Sequence 0 with 16-bit depth, sequence 2 (validation) with float depth and odd voids."""
    root = tmp_path / "kitti_step"
    for frame in range(5):
        stem = root / "0000" / f"{frame:06d}"
        write(stem.with_name(f"{stem.name}_image.jpg"), picture(frame))
        write(stem.with_name(f"{stem.name}_panoptic.png"), _panoptic(frame))
        depth = np.full((HEIGHT, WIDTH), 256 * (frame + 2) + 128, np.uint16)
        depth[:2] = 0
        write(stem.with_name(f"{stem.name}_depth.png"), depth)
    for frame in range(3):
        stem = root / "0002" / f"{frame:06d}"
        write(stem.with_name(f"{stem.name}_image.png"), picture(50 + frame))
        panoptic = _panoptic(frame)
        panoptic[0, :, 0] = 32
        write(stem.with_name(f"{stem.name}_panoptic.png"), panoptic)
        depth = np.full((HEIGHT, WIDTH), 7.25, np.float32)
        depth[3] = np.nan
        write(stem.with_name(f"{stem.name}_depth.tiff"), depth)
    return root


def _panoptic(frame: int) -> np.ndarray:
    """R = trainId, G and B = instance; cars with large instance numbers, sky, void."""
    panoptic = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    panoptic[4:8, 5:9] = (13, frame + 1, 200)
    panoptic[8:, :3] = (11, 0, 255)
    panoptic[:3, 10:] = (10, 0, 0)
    panoptic[11, 15:] = (255, 0, 0)
    return panoptic


@pytest.fixture
def rgbd_tree(tmp_path: Path) -> Path:
    """A scene with two sequences in the form of 7-Scenes; a dot in its name; a repeated frame."""
    scene = tmp_path / "scenes" / "red.kitchen"
    for sequence, frames in (("seq-01", 5), ("seq-02", 3)):
        for i in range(frames):
            stem = scene / sequence / f"frame-{i:06d}"
            shown = 1 if (sequence, i) == ("seq-01", 2) else i
            write(stem.with_name(f"{stem.name}.color.png"), picture(shown))
            depth = np.full((HEIGHT, WIDTH), 1500 + 100 * i, np.uint16)
            depth[0], depth[1] = 0, 65535
            write(stem.with_name(f"{stem.name}.depth.png"), depth)
        matrix = "585 0 10\n0 586 6\n0 0 1\n"
        (scene / sequence / "camera-intrinsics.txt").write_text(matrix)
    (scene / "TrainSplit.txt").write_text("sequence1\n")
    (scene / "TestSplit.txt").write_text("sequence2\n")
    return scene.parent


@pytest.fixture
def nyud_tree(tmp_path: Path) -> Path:
    """Three labelled frames in a MATLAB 7.3 file; raw frames before two of them."""
    import h5py
    import scipy.io as scipy_io

    root = tmp_path / "nyud"
    root.mkdir()
    names = [
        "kitchen_0001/r-100.50-900.ppm",
        "kitchen_0001/r-107.25-950.ppm",
        "bath_0002/r-33.00-1.ppm",
    ]
    images = np.stack([picture(i) for i in range(3)])
    np.save(root / "second.npy", images[1])
    labels = np.stack([np.full((HEIGHT, WIDTH), i, np.uint16) for i in range(3)])
    labels[2] = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 5
    depths = np.stack([np.full((HEIGHT, WIDTH), 1.5 + i, np.float32) for i in range(3)])
    depths[:, :4] = 0
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        # MATLAB counts columns first, so what h5py sees is turned around.
        file["images"] = images.transpose(0, 3, 2, 1)
        file["labels"] = labels.transpose(0, 2, 1)
        file["rawDepths"] = depths.transpose(0, 2, 1)
        file["depths"] = depths.transpose(0, 2, 1) + 9
        cells = file.create_dataset("rawRgbFilenames", (1, 3), dtype=h5py.ref_dtype)
        for i, name in enumerate(names):
            text = np.array([[ord(c)] for c in name], np.uint16)
            cells[0, i] = file.create_dataset(f"#refs#/{i}", data=text).ref
    splits = {"trainNdxs": [[1], [2]], "testNdxs": [[3]]}
    scipy_io.savemat(root / "splits.mat", {k: np.array(v) for k, v in splits.items()})
    # Raw labels 1..4 are classes 40 (otherprop), 5 (chair), 9 (window), 22 (ceiling).
    scipy_io.savemat(root / "classMapping40.mat", {"mapClass": np.array([[40, 5, 9, 22]])})
    for seconds in ("98.00", "99.50", "100.00", "100.50", "101.00"):
        write(root / "raw/kitchen_0001" / f"r-{seconds}-77.ppm", picture(int(float(seconds))))
    normals = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    normals[5:] = (128, 128, 0)
    write(root / "normals" / "0003.png", normals)
    return root


@pytest.fixture
def run_ingest(tmp_path: Path) -> Callable[..., int]:
    """Runs the verb: `run_ingest("camvid", root, "labels=native")`; output in tmp_path / "out"."""
    from pipeline.ingest import main

    def run(dataset: str, root: Path, *words: Any) -> int:
        return main([f"dataset={dataset}", f"root={root}", f"out={tmp_path / 'out'}", *words])

    return run
