"""The catalog of raw clips: one row per clip with where it comes from and what it holds."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mila.data.sample import Split

CATALOG_NAME = "catalog.parquet"

SCHEMA = pa.schema(
    [
        pa.field("clip", pa.string(), nullable=False),
        pa.field("video", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("fps", pa.float64(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("frames", pa.int64(), nullable=False),
        pa.field("labels", pa.list_(pa.string()), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class CatalogRow:
    """One raw clip."""

    clip: str
    """Key of the clip, without dots."""
    video: str
    split: Split
    fps: float
    start: int
    """Index of the clip's first frame in its video."""
    frames: int
    labels: tuple[str, ...]
    """Labels that at least one frame has, sorted."""
    path: str
    """The clip's tar, relative to the catalog."""
    sha256: str
    """Digest of that tar, in hexadecimal."""


def write_catalog(path: Path, rows: Iterable[CatalogRow]) -> None:
    """Write the rows in the order of their keys; the same rows give the same bytes."""
    ordered = sorted(rows, key=lambda row: row.clip)
    table = pa.Table.from_pylist([asdict(row) for row in ordered], schema=SCHEMA)
    partial = path.with_name(path.name + ".partial")
    pq.write_table(table, partial)
    partial.replace(path)


def read_catalog(path: Path) -> list[CatalogRow]:
    """Read the rows back.

    Raises:
        ValueError: If the file is missing, is not Parquet or has other columns.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no catalog there; run pipeline.synthesize first")
    try:
        table = pq.read_table(path)
        rows = table.to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:  # pyarrow's words for damage
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path}: not a catalog, or damaged ({reason})") from None
    if not table.schema.equals(SCHEMA):
        raise ValueError(f"{path}: columns {table.schema.names}, expected {SCHEMA.names}")
    return [CatalogRow(**{**row, "labels": tuple(row["labels"])}) for row in rows]
