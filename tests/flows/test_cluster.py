"""Finding a cluster: clear words when there is none, it is too small, or too much would travel."""

import socket
from pathlib import Path

import pytest

from flows.cluster import Needs, absolute, base_folder, ray_cluster
from flows.working_dir import check_size, travelling_files
from mila.config import ClusterSettings
from mila.identity import ROOT


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_dead_address_is_named_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"127.0.0.1:{closed_port()}"
    monkeypatch.setenv("RAY_ADDRESS", address)

    with (
        pytest.raises(ValueError, match=rf"RAY_ADDRESS={address}: nobody listens there"),
        ray_cluster(Needs(1, 0)),
    ):
        pass


@pytest.mark.parametrize(
    ("address", "sentence"),
    [("http://127.0.0.1:8265", "is a job server; use: ray job submit"), ("nonsense", "nonsense")],
)
def test_other_addresses_are_refused(
    monkeypatch: pytest.MonkeyPatch, address: str, sentence: str
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ValueError, match=sentence), ray_cluster(Needs(1, 0)):
        pass


def test_more_cpus_than_this_machine_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with (
        pytest.raises(ValueError, match="4096 CPUs are needed, this machine has"),
        ray_cluster(Needs(4096, 0)),
    ):
        pass


def test_needs_are_those_of_the_smallest_number_of_workers() -> None:
    fixed = ClusterSettings(num_workers=3, cpus_per_worker=2)
    elastic = ClusterSettings(num_workers=4, min_workers=2, cpus_per_worker=0.5, use_gpu=True)

    assert Needs.of_training(fixed) == Needs(6, 0)
    assert Needs.of_training(elastic) == Needs(1.0, 2)


def test_relative_paths_mean_the_working_folder_or_the_named_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MILA_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert base_folder() == tmp_path
    assert absolute("runs", tmp_path) == str(tmp_path / "runs")
    assert absolute("s3://bucket/runs", tmp_path) == "s3://bucket/runs"

    monkeypatch.setenv("MILA_HOME", "/somewhere")
    assert base_folder() == Path("/somewhere")


def test_a_job_that_ray_unpacked_means_the_folder_its_node_was_started_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Path.cwd()  # of the process above: here this test's own parent
    unpacked = tmp_path / "runtime_resources" / "working_dir_files" / "_ray_pkg_1"
    unpacked.mkdir(parents=True)
    monkeypatch.delenv("MILA_HOME", raising=False)
    monkeypatch.chdir(unpacked)

    assert "runtime_resources" not in base_folder().parts
    assert base_folder() != unpacked
    assert started.exists()


def test_what_travels_leaves_out_data_and_is_small(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("/data/\n__pycache__/\n")
    (tmp_path / ".rayignore").write_text("/runs/\n")
    for name in ("data/x", "mila/data/x", "runs/x", "mila/__pycache__/x", ".git/x", "README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")

    names = {path.relative_to(tmp_path).as_posix() for path in travelling_files(tmp_path)}

    assert names == {".gitignore", ".rayignore", "mila/data/x", "README.md"}
    assert check_size(tmp_path) == sum(path.stat().st_size for path in travelling_files(tmp_path))


def test_too_much_to_travel_names_the_largest_folders(tmp_path: Path) -> None:
    for name, size in (("weights", 3 << 20), ("film", 2 << 20), ("mila", 100)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_bytes(bytes(size))

    with pytest.raises(ValueError, match=r"5 MiB would travel.*weights 3 MiB, film 2 MiB, mila"):
        check_size(tmp_path, limit=1 << 20)


def test_the_project_itself_travels_whole_and_without_results() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in travelling_files(ROOT)}

    assert {"flows/train.py", "mila/data/shards.py", "params.yaml"} <= names
    assert not [n for n in names if n.startswith(("runs/", "data/", "models/", "mlartifacts/"))]
    check_size(ROOT)
