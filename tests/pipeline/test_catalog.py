import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.catalog import CatalogRow, read_catalog, write_catalog

ROWS = [
    CatalogRow("val-1", "b", "val", 17.0, 3, 12, (), "clips/val-1.tar", "1f"),
    CatalogRow("train-0", "a", "train", 10.0, 0, 2, ("depth", "semseg"), "clips/x.tar", "0e"),
]


def test_rows_come_back_in_order(tmp_path):
    write_catalog(tmp_path / "catalog.parquet", ROWS)

    assert read_catalog(tmp_path / "catalog.parquet") == ROWS[::-1]


def test_same_rows_give_same_bytes(tmp_path):
    write_catalog(tmp_path / "a", ROWS)
    write_catalog(tmp_path / "b", ROWS[::-1])

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_files_that_are_no_catalog_are_named(tmp_path):
    path = tmp_path / "catalog.parquet"

    with pytest.raises(ValueError, match=r"catalog.parquet: no catalog there"):
        read_catalog(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"catalog.parquet: not a catalog"):
        read_catalog(path)
    pq.write_table(pa.table({"clip": ["a"]}), path)
    with pytest.raises(ValueError, match=r"catalog.parquet: columns \['clip'\], expected"):
        read_catalog(path)
