"""Verb: copy a data set to another place, S3 as a rule; who finds its manifest finds all of it."""

import sys
from collections.abc import Sequence

from mila.config import Params
from mila.data.manifest import CLIPS_NAME, read_manifest
from mila.data.storage import Storage, open_storage
from mila.overrides import Verb

_SHARDS = "shards/"

VERB = Verb(
    name="python -m pipeline.upload",
    summary="Copy shards and manifest of a data set to a folder or an s3:// prefix.",
    example="python -m pipeline.upload data=data/street to=s3://shards/street",
    arguments={
        "data": "required: folder or s3:// prefix with manifest and shards",
        "to": "required: folder or s3:// prefix; a data set that is there is replaced",
    },
    sections=(),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 = done, 2 = bad input."""
    return VERB.run(argv, _run)


def _run(_: Params, words: dict[str, str]) -> None:
    source, target = open_storage(words["data"]), open_storage(words["to"])
    manifest = read_manifest(source)
    size = copy_all(source, target)
    sys.stdout.write(
        f"{words['to']}: {len(manifest.clips)} clips, {size / (1 << 20):.1f} MiB, "
        f"fingerprint {manifest.fingerprint[:16]}\n"
    )


def copy_all(source: Storage, target: Storage) -> int:
    """Copy every object, the list of clips last; remove shards of another data set, only those.

    Returns:
        Bytes copied.

    Raises:
        ValueError: If the target does not list in the end what was copied.
    """
    entries = sorted(source.list(), key=lambda entry: (entry.name == CLIPS_NAME, entry.name))
    target.delete(CLIPS_NAME)  # nobody reads an old manifest over new shards
    for entry in entries:
        target.put(entry.name, source.read(entry.name))
    names = {entry.name for entry in entries}
    for stale in target.list(_SHARDS):
        if stale.name not in names:
            target.delete(stale.name)
    if not set(entries) <= set(target.list()):
        raise ValueError(f"{target.url}: does not list what was written to it")
    return sum(entry.size for entry in entries)


if __name__ == "__main__":
    sys.exit(main())
