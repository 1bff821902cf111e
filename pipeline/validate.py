"""Verb: open every sample of a data set and say what is wrong, by shard and clip."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mila.config import Params
from mila.data.manifest import read_manifest
from mila.data.sample import SPLITS
from mila.data.storage import open_storage
from mila.overrides import Verb
from pipeline.checks import ShardFindings, check_manifest, check_shard
from pipeline.outputs import write_text
from pipeline.parallel import over_all_cores
from pipeline.statistics import Statistics
from pipeline.words import whole_number

VERB = Verb(
    name="python -m pipeline.validate",
    summary="Check every sample of a data set; exit code 2 if anything is wrong.",
    example="python -m pipeline.validate data=data/street out=reports/validation.json",
    arguments={
        "data": "required: folder or s3:// prefix with manifest and shards",
        "out": "required: JSON report to write, also when something is wrong",
        "workers": "processes (0 = one per core)",
    },
    sections=(),
)

_SHOWN = 10


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 = all well, 2 = bad input or problems found."""
    return VERB.run(argv, _run)


def _run(_: Params, words: dict[str, str]) -> int:
    storage = open_storage(words["data"])
    manifest = read_manifest(storage)
    problems = check_manifest(manifest)
    sums = {split: Statistics() for split in SPLITS}
    work = [(storage, shard, manifest.clips) for shard in manifest.shards]
    workers = whole_number(words, "workers", 0, least=0)
    for findings in over_all_cores(_check, work, workers=workers, what="shard"):
        problems += findings.problems
        sums[findings.split].add(findings.statistics)
    report = {
        "ok": not problems,
        "problems": problems,
        "clips": len(manifest.clips),
        "shards": len(manifest.shards),
        "fingerprint": manifest.fingerprint,
        "splits": {split: total.summary() for split, total in sums.items() if total.clips},
    }
    write_text(Path(words["out"]), json.dumps(report, indent=1) + "\n")
    for problem in problems[:_SHOWN]:
        sys.stderr.write(f"{problem}\n")
    said = f"{len(problems)} problems" if problems else "all well"
    sys.stdout.write(f"{words['data']}: {len(manifest.clips)} clips checked, {said}\n")
    return 2 if problems else 0


def _check(work: tuple) -> ShardFindings:
    return check_shard(*work)


if __name__ == "__main__":
    sys.exit(main())
