"""The benchmark of the joint stage runs whole and counts the frames that are supervised."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_lines_have_a_ratio_and_say_of_what() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks/joint.py", "cases=tiny", "table=false"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    lines = {line["design"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert list(lines) == ["16 x 1, taught", "16 x 1", "12 x 3", "12 x 3, Muon"]
    for line in lines.values():
        assert {"x_baseline", "aim", "ok", "per_frame_ms", "load1", "commit"} <= line.keys()
    assert lines["16 x 1"]["frames"] == lines["16 x 1, taught"]["frames"] == 16
    # Offsets 1 and 2 are drawn too: then some of the three lie before the keyframe.
    assert 24 < lines["12 x 3"]["frames"] < 36
