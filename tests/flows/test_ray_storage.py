"""The filesystem handed to Ray writes where our own storage reads, and failed writes raise."""

import ast
from pathlib import Path

import pytest

from flows.ray_storage import ray_storage
from mila.data.storage import open_storage
from mila.identity import ROOT


def write_through(url: str) -> bytes:
    place = ray_storage(f"{url}/ray")
    place.filesystem.create_dir(place.path)
    with place.filesystem.open_output_stream(f"{place.path}/marker") as stream:
        stream.write(b"here")
    return open_storage(url).read("ray/marker")


def test_a_folder(tmp_path: Path) -> None:
    assert write_through(str(tmp_path)) == b"here"


def test_a_bucket_at_an_endpoint_from_the_environment(s3_environment: str) -> None:
    assert write_through(f"{s3_environment}/runs") == b"here"


def test_a_refused_write_raises(s3_environment: str) -> None:
    place = ray_storage("s3://no-such-bucket-here/runs")
    with (
        pytest.raises(OSError, match=r"(?i)no_?such_?bucket|not exist|404"),
        place.filesystem.open_output_stream(f"{place.path}/marker") as stream,
    ):
        stream.write(b"lost")


def test_nothing_of_ours_calls_copy_files() -> None:
    """pyarrow.fs.copy_files returns normally from uploads that failed."""
    files = [path for name in ("flows", "mila", "pipeline") for path in (ROOT / name).rglob("*.py")]
    guilty = [
        f"{path}:{node.lineno}"
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr == "copy_files")
        or (isinstance(node, ast.ImportFrom) and "copy_files" in [a.name for a in node.names])
    ]
    assert len(files) > 20
    assert guilty == []
