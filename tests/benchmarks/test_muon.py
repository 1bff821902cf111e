"""The benchmark of Muon runs whole, and both of its designs give the same directions."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_both_designs_give_the_same_directions() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks/muon.py", "cases=tiny", "table=false"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    lines = {line["design"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert list(lines) == ["one by one", "collected"]
    for line in lines.values():
        assert {"x_baseline", "median_ms", "load1", "commit"} <= line.keys()
        assert line["difference"] < 1e-3
