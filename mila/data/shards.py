"""Tar files of clips: written the same to the last byte, read back with lengths and digests checked.

The container is WebDataset's: members `<key>.<field>`, the members of one sample side by side.
"""

import hashlib
import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO


def write_clip_tar(path: Path, key: str, fields: Mapping[str, bytes]) -> str:
    """Write one clip as an uncompressed tar: members sorted, no owner, no time.

    The file appears under its name only when it is complete.

    Args:
        path: The tar to write; its folder exists.
        key: Name of the clip, without dots.
        fields: Field name to content.

    Returns:
        SHA-256 of the file, in hexadecimal.
    """
    stream = io.BytesIO()
    with _tar_writer(stream) as tar:
        tar.write({"__key__": key, **fields})
    data = stream.getvalue()
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_bytes(data)
    partial.replace(path)
    return hashlib.sha256(data).hexdigest()


def read_clip_tar(path: Path) -> tuple[str, dict[str, bytes]]:
    """Read a tar that holds one clip: its key and its fields.

    Raises:
        ValueError: If the file is missing, cut short or holds anything but one clip.
    """
    try:
        members = _members(path.read_bytes())
    except (OSError, tarfile.TarError) as error:
        raise ValueError(f"{path}: not a readable clip ({error})") from None
    keys = {name.partition(".")[0] for name in members}
    if len(keys) != 1:
        raise ValueError(f"{path}: expected the members of one clip, got those of {len(keys)}")
    return keys.pop(), {name.partition(".")[2]: data for name, data in members.items()}


def _members(data: bytes) -> dict[str, bytes]:
    """Name and content of every member in a piece of a tar."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        members: dict[str, bytes] = {}
        for member in tar:
            content = data[member.offset_data : member.offset_data + member.size]
            if len(content) != member.size:
                raise tarfile.ReadError(f"member {member.name} is cut short")
            members[member.name] = content
    return members


def _tar_writer(stream: BinaryIO):  # type: ignore[no-untyped-def]
    """WebDataset's tar writer without owner and time; it sorts the fields of a sample itself."""
    from webdataset import TarWriter  # seconds to import, and only needed to write

    return TarWriter(stream, user="", group="", mtime=0, encoder=False)
