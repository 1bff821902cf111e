"""How a tar lies in bytes: a header before every member, all in blocks of 512.

`tarfile` reads the same; it takes longer than decoding a small clip.

Source: POSIX ustar.
"""

NAME_LENGTH = 100
"""Longest member name that needs no second field."""

_BLOCK = 512
_RECORD = 20 * _BLOCK


def clip_members(data: bytes, key: str) -> dict[str, bytes]:
    """Fields and contents of a clip's piece of a tar.

    Raises:
        ValueError: If a header is not one, a member is cut short or belongs to another clip.
    """
    fields: dict[str, bytes] = {}
    at = 0
    while at + _BLOCK <= len(data) and data[at]:
        header = data[at : at + _BLOCK]
        name = header[:NAME_LENGTH].rstrip(b"\0").decode(errors="replace")
        if header[257:262] != b"ustar" or header[156:157] not in b"0\0":
            raise ValueError(f"clip {key}: no member header at byte {at}")
        size = int(header[124:135], 8)
        content = data[at + _BLOCK : at + _BLOCK + size]
        if len(content) < size:
            raise ValueError(f"clip {key}: member {name} is cut short")
        if not name.startswith(f"{key}."):
            raise ValueError(f"clip {key}: holds the member {name} of another clip")
        fields[name[len(key) + 1 :]] = content
        at += _BLOCK + _padded(size)
    if not fields:
        raise ValueError(f"clip {key!r}: no members")
    return fields


def first_key(data: bytes) -> str:
    """The key of the clip whose member comes first in a piece of a tar."""
    return data[:NAME_LENGTH].partition(b".")[0].decode(errors="replace")


def member_size(size: int) -> int:
    """Bytes a member of this size takes, header and padding included."""
    return _BLOCK + _padded(size)


def end_mark(size: int) -> bytes:
    """What closes a tar of this size: two empty blocks, filled up to whole records."""
    return b"\0" * (2 * _BLOCK + -(size + 2 * _BLOCK) % _RECORD)


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
