"""Verb: copy a data set to another place, S3 as a rule; who finds its manifest finds all of it."""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from mila.config import Params
from mila.data.manifest import CLIPS_NAME, Manifest, read_manifest
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
    if _place(words["data"]) == _place(words["to"]):
        raise ValueError(f"to={words['to']}: the data set is there already")
    manifest = read_manifest(source)
    size = copy_all(source, target, manifest)
    sys.stdout.write(
        f"{words['to']}: {len(manifest.clips)} clips, {size / (1 << 20):.1f} MiB, "
        f"fingerprint {manifest.fingerprint[:16]}\n"
    )


def copy_all(source: Storage, target: Storage, manifest: Manifest) -> int:
    """Copy every object, the list of clips last; remove shards of another data set, only those.

    Args:
        source: Where the data set is.
        target: Another place.
        manifest: The manifest of the source.

    Returns:
        Bytes copied.

    Raises:
        ValueError: If a shard is missing or is not as the manifest says, or the target does not
            list in the end what was copied.
    """
    digests = {row.shard: row.sha256 for row in manifest.shards}
    entries = sorted(source.list(), key=lambda entry: (entry.name == CLIPS_NAME, entry.name))
    if missing := sorted(set(digests) - {entry.name for entry in entries}):
        raise ValueError(f"shard {source.url}/{missing[0]}: missing")
    target.delete(CLIPS_NAME)  # nobody reads an old manifest over new shards
    for entry in entries:
        data = source.read(entry.name)
        digest = digests.get(entry.name)
        if digest and hashlib.sha256(data).hexdigest() != digest:
            raise ValueError(f"shard {source.url}/{entry.name}: altered; see pipeline.validate")
        target.put(entry.name, data)
    names = {entry.name for entry in entries}
    for stale in target.list(_SHARDS):
        if stale.name not in names:
            target.delete(stale.name)
    if not set(entries) <= set(target.list()):
        raise ValueError(f"{target.url}: does not list what was written to it")
    return sum(entry.size for entry in entries)


def _place(url: str) -> str:
    """A URL in one spelling."""
    return url.rstrip("/") if "://" in url else str(Path(url).resolve())


if __name__ == "__main__":
    sys.exit(main())
