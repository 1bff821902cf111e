"""Reading clips from shards: clips per second on one core, every byte checked.

    python benchmarks/loader.py                       all cases, about 1 minute
    python benchmarks/loader.py cases=512x1024 rounds=15 table=false
    python benchmarks/loader.py cases=tiny            seconds; what the tests run

A case is a shard of street clips of three frames with classes and 16-bit depth on the last one. A
call reads some clips by byte range with their digests and, by design, does nothing more (`read`),
decodes them (`decode`: 3 JPEG, label, depth; `decode, 4:2:0` the same with the JPEGs of quality 90
and subsampled colour that most data sets hold), or gives training batches of two clips each with
zoom, mirror and colour (`batch`). Before a case is timed, labels and depth must come back exactly.
One thread, process CPU time.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))
import measuring

from mila.config import DataSettings
from mila.data.draws import FrameDraw
from mila.data.loader import ClipLoader, LoaderSettings
from mila.data.sample import ClipArrays, decode_clip, encode_clip, field_name
from mila.data.shards import clip_tar, pack_clip, write_shards
from mila.data.source import DataSource, open_source
from mila.data.transforms import Augmentation
from pipeline.world.clip import render_clip

SIZES = {"96x192": (96, 192), "256x512": (256, 512), "512x1024": (512, 1024)}
TINY = {"tiny": (32, 64)}
FRAMES, CLIPS = 3, 8
AIMS = {("512x1024", "decode"): 65.0}
COLUMNS = (
    *("case", "design", "clips_per_s_core", "aim", "ok", "median_ms", "min_ms", "p95_ms", "rounds"),
    *("kib_per_clip", "load1"),
)
DEFAULTS = {
    **{"cases": "all", "rounds": "11"},
    **{"strict": "false", "table": "true"},
}


def street_clip(size: tuple[int, int], index: int) -> ClipArrays:
    """A rendered clip, labelled on its last frame."""
    height, width = size
    street = render_clip(
        seed=3, split="bench", index=index, frames=FRAMES, height=height, width=width, fps=17.0
    )
    semseg, depth = street.semseg.copy(), street.depth.astype(np.float32)
    semseg[:-1], depth[:-1] = 255, 0
    return ClipArrays(
        key=f"train-{index:03d}",
        video=f"bench-{index}",
        split="train",
        fps=17.0,
        start=0,
        images=street.images,
        semseg=semseg,
        depth=depth,
    )


def subsampled(fields: dict[str, bytes]) -> dict[str, bytes]:
    """The same sample with JPEGs of quality 90 and 4:2:0."""
    changed = dict(fields)
    options = (cv2.IMWRITE_JPEG_QUALITY, 90)
    for t in range(FRAMES):
        name = field_name(t, "image")
        image = cv2.imdecode(np.frombuffer(fields[name], np.uint8), cv2.IMREAD_COLOR)
        changed[name] = cv2.imencode(".jpg", image, options)[1].tobytes()
    return changed


def make_source(
    folder: Path,
    clips: Sequence[ClipArrays],
    change: Callable[[dict[str, bytes]], dict[str, bytes]],
) -> DataSource:
    """Shards of the clips."""
    packed = [pack_clip(clip_tar(clip.key, change(encode_clip(clip)))) for clip in clips]
    write_shards(folder, packed)
    return open_source(DataSettings(root=str(folder)))


def check(source: DataSource, clips: Sequence[ClipArrays]) -> None:
    """End the program unless labels and depth come back as they were put in."""
    for row, truth in zip(source.manifest.clips, clips, strict=True):
        back = decode_clip(source.reader.read(row), key=row.key)
        units = np.rint(truth.depth * np.float64(256))
        if not (back.semseg == truth.semseg).all() or not (back.depth * 256 == units).all():
            raise SystemExit(f"{row.key}: labels or depth came back changed")


def designs(own: DataSource, common: DataSource) -> dict[str, Callable[[int], measuring.Call]]:
    """What is timed; each call goes over all clips once."""
    settings = LoaderSettings(
        split="train",
        draw=FrameDraw("offset", max_offset=FRAMES - 1),
        tasks=("semseg", "depth"),
        batch_size=2,
        augmentation=Augmentation(scale=(1.0, 1.5), flip=True, colour=0.2),
    )
    loader = ClipLoader(own.manifest, own.reader, settings)

    def read(source: DataSource) -> list[dict[str, bytes]]:
        return [source.reader.read(row) for row in source.manifest.clips]

    def decode(source: DataSource) -> list[ClipArrays]:
        return [decode_clip(fields) for fields in read(source)]

    return {
        "read": lambda index: lambda: read(own),
        "decode": lambda index: lambda: decode(own),
        "decode, 4:2:0": lambda index: lambda: decode(common),
        "batch": lambda index: lambda: list(loader.epoch()),
    }


def measure(name: str, size: tuple[int, int], values: dict[str, str]) -> list[dict[str, object]]:
    """The lines of one size."""
    clips = [street_clip(size, index) for index in range(CLIPS)]
    rounds = int(values["rounds"])
    with tempfile.TemporaryDirectory() as folder:
        own = make_source(Path(folder) / "own", clips, dict)
        common = make_source(Path(folder) / "common", clips, subsampled)
        check(own, clips)
        check(common, clips)
        timings = measuring.interleave(
            designs(own, common), rounds=rounds, slow_rounds=rounds, threads=1
        )
    lines = []
    for design, timing in timings.items():
        times = timing.line()
        source = common if "4:2:0" in design else own
        rate, aim = 1e3 * CLIPS / times["median_ms"], AIMS.get((name, design))
        lines.append(
            {
                **{"bench": "loader", "case": f"{name}, {FRAMES} frames", "design": design},
                **{"clips_per_s_core": round(rate, 1)},
                **{"aim": aim and f"clips_per_s_core>={aim:g}", "ok": aim is None or rate >= aim},
                **times,
                "kib_per_clip": sum(row.bytes for row in source.manifest.clips) // CLIPS // 1024,
                **measuring.circumstances(1),
            }
        )
    return lines


def main(argv: Sequence[str]) -> int:
    """Run the cases that the words name."""
    if list(argv) in (["help"], ["--help"], ["-h"]):
        measuring.say(__doc__ or "")
        return 0
    values = measuring.words(DEFAULTS, argv)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    lines: list[dict[str, object]] = []
    for name, size in measuring.chosen(values["cases"], SIZES, TINY).items():
        measuring.say(name)
        for line in measure(name, size, values):
            measuring.emit(line)
            lines.append(line)
    return measuring.finish("loader", lines, COLUMNS, values)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
