"""docs/faults.md: its table is the measured one, and the tests it names exist."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/faults.md"


@pytest.fixture(scope="module")
def faults() -> ModuleType:
    spec = importlib.util.spec_from_file_location("faults", ROOT / "infra/services/faults.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_what_was_measured(faults: ModuleType) -> None:
    results = json.loads((ROOT / "docs/faults.json").read_text())

    assert PAGE.read_text() == faults.with_table(PAGE.read_text(), results)
    assert faults.table(results) in PAGE.read_text()


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text()))
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))

    assert len(named) > 20
    assert [name for name in sorted(named) if f"def {name}(" not in sources] == []


def test_a_new_measurement_replaces_the_old_one(faults: ModuleType) -> None:
    results = {
        "date": "2026-01-02",
        "commit": "abc",
        "machine": "two cores",
        "faults": {"worker killed": {"broken": "x", "found": "y", "seconds": {"back": 3.5}}},
    }
    page = f"before\n{faults.BEGIN}old\n{faults.END}after\n"

    new = faults.with_table(page, results)

    assert "| worker killed | x | y | back: 3.5 |" in new
    assert "old" not in new
    assert (new.startswith("before\n"), new.endswith("after\n")) == (True, True)
    assert faults.with_table(new, results) == new
