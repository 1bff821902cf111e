"""The house rules of the tree: who imports whom, what may run, what the documents say."""

from __future__ import annotations

import ast
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("pipeline", "mila", "flows")
FORBIDDEN = {
    "mila": {"ray", "mlflow", "dvc", "pipeline", "flows"},
    "pipeline": {"ray", "mlflow", "dvc", "flows"},
    "flows": {"dvc", "pipeline"},
}
ONE_IMPORTER = {
    "mlflow": {"flows/tracking.py"},
    "boto3": {"mila/data/storage.py"},
    "webdataset": {"mila/data/shards.py"},
}
NEVER = {"torchvision", "torchcodec"}
LONGEST = 320
REGISTRIES = ("pypi" + ".org", "pythonhosted" + ".org", "deb.debian" + ".org", "npmjs" + ".org")


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and module of every import, function bodies included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.lineno, node.module


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_one_way(package: str) -> None:
    bad = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sources(package)
        for line, name in imports(path)
        if name.split(".")[0] in FORBIDDEN[package] | NEVER
    ]
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("library", ONE_IMPORTER)
def test_a_service_has_one_importer(library: str) -> None:
    importers = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in sources(package)
        for _, name in imports(path)
        if name.split(".")[0] == library
    }
    assert importers == ONE_IMPORTER[library]


def test_files_stay_short() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for package in PACKAGES
        for path in sources(package)
        if (lines := len(path.read_text().splitlines())) > LONGEST
    }
    assert not long


@pytest.mark.parametrize("verb", ["train", "tune", "evaluate", "predict"])
def test_flows_can_be_submitted_as_they_are(verb: str) -> None:
    path = ROOT / "flows" / f"{verb}.py"
    assert path.stat().st_mode & stat.S_IXUSR
    assert path.read_text().startswith("#!/usr/bin/env python3\n")


def test_the_library_imports_no_broken_or_heavy_package() -> None:
    code = (
        "import sys, mila.model, mila.training.worker, mila.evaluation;"
        "bad = {'ray', 'mlflow', 'dvc', 'torchvision', 'timm', 'torchcodec'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        timeout=100,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_what_is_skipped_says_where_it_runs() -> None:
    """No xfail at all; every skip has a reason with the word `runs` in it."""
    bad = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        source = path.read_text()
        for node in ast.walk(ast.parse(source)):
            name = node.attr if isinstance(node, ast.Attribute) else ""
            if name in ("xfail", "importorskip"):
                bad.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            near = source.splitlines()[max(node.lineno - 5, 0) : node.end_lineno]
            if node.func.attr in ("skip", "skipif") and not any(" runs " in x for x in near):
                bad.append(
                    f"{path.relative_to(ROOT)}:{node.lineno} skips without saying where it runs"
                )
    assert not bad, "\n".join(bad)


def test_dvc_and_we_read_the_same_params() -> None:
    ours = yaml.safe_load((ROOT / "params.yaml").read_text())
    theirs = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())
    assert ours == theirs


def test_every_source_file_is_in_the_architecture_page() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    missing = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in sources(package)
        if path.name != "__init__.py" and f"`{path.name}`" not in page
    ]
    assert not missing


def test_no_file_names_a_package_registry() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        timeout=60,
        capture_output=True,
        text=True,
        check=True,
    )
    bad = [
        name
        for name in listed.stdout.splitlines()
        if (ROOT / name).is_file()
        and any(host in (ROOT / name).read_text(errors="ignore") for host in REGISTRIES)
    ]
    assert not bad


def test_pins_are_names_and_versions() -> None:
    lines = (ROOT / "constraints.txt").read_text().split()
    assert all(line.count("==") == 1 and "/" not in line for line in lines)
