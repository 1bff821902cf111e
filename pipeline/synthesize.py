"""Verb: render the procedural street world to raw clips with exact labels and a catalog."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mila.config import Params, WorldSettings
from mila.data.sample import Split, encode_clip
from mila.data.shards import write_clip_tar
from mila.overrides import Verb
from pipeline.catalog import CATALOG_NAME, CatalogRow, write_catalog
from pipeline.outputs import new_folder
from pipeline.parallel import over_all_cores
from pipeline.world.clip import render_sample

VERB = Verb(
    name="python -m pipeline.synthesize",
    summary="Render street clips with exact classes, depth and optical flow.",
    example="python -m pipeline.synthesize world.train_clips=40 out=data/raw/street",
    arguments={"out": "required: folder to make; an earlier result there is replaced"},
    sections=("world",),
)


@dataclass(frozen=True)
class Job:
    """One clip to render."""

    split: Split
    index: int


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 = done, 2 = bad input."""
    return VERB.run(argv, _run)


def _run(params: Params, words: dict[str, str]) -> None:
    out = Path(words["out"])
    rows = synthesize(params.world, out)
    frames = sum(row.frames for row in rows)
    sys.stdout.write(f"{out}: {len(rows)} clips, {frames} frames\n")


def synthesize(world: WorldSettings, out: Path) -> list[CatalogRow]:
    """Render all clips of the settings to `out`; the same settings give the same bytes.

    Raises:
        ValueError: If `out` holds something else than an earlier result.
    """
    if (
        out.exists()
        and not (out / CATALOG_NAME).is_file()
        and (out.is_file() or any(out.iterdir()))
    ):
        raise ValueError(f"out={out}: not empty and not an earlier result; name another folder")
    counts: dict[Split, int] = {
        "train": world.train_clips,
        "val": world.val_clips,
        "test": world.test_clips,
    }
    jobs = [Job(split, index) for split, count in counts.items() for index in range(count)]
    with new_folder(out) as folder:
        (folder / "clips").mkdir()
        render = partial(_render, world, folder)
        rows = list(over_all_cores(render, jobs, workers=world.workers, what="clip"))
        write_catalog(folder / CATALOG_NAME, rows)
    return rows


def _render(world: WorldSettings, folder: Path, job: Job) -> CatalogRow:
    """Render one clip and write its tar."""
    clip = render_sample(
        seed=world.seed,
        split=job.split,
        index=job.index,
        frames=world.frames,
        height=world.height,
        width=world.width,
        fps=world.fps,
    )
    path = f"clips/{clip.key}.tar"
    digest = write_clip_tar(folder / path, clip.key, encode_clip(clip, world.quality))
    return CatalogRow(
        clip=clip.key,
        video=clip.video,
        split=job.split,
        fps=world.fps,
        start=0,
        frames=world.frames,
        labels=("depth", "flow", "semseg"),
        path=path,
        sha256=digest,
    )


if __name__ == "__main__":
    sys.exit(main())
