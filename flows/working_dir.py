"""The sources as they travel to a cluster: which files, how large, and what is too much."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

UPLOAD_LIMIT = 100 * 1024**2
"""Ray refuses larger working folders, bytes."""

_NEVER = (".git", ".venv", "venv", "__pycache__")  # as Ray does by default


def travelling_files(root: Path) -> Iterator[Path]:
    """Files of a folder that neither .gitignore nor .rayignore leaves out."""
    from pathspec import PathSpec

    lines = list(_NEVER)
    for name in (".gitignore", ".rayignore"):
        if (root / name).is_file():
            lines += (root / name).read_text().splitlines()
    ignored = PathSpec.from_lines("gitwildmatch", lines)
    folders = [root]
    while folders:
        for path in sorted(folders.pop().iterdir()):
            relative = path.relative_to(root).as_posix()
            if path.is_dir() and not path.is_symlink():
                if not ignored.match_file(f"{relative}/"):
                    folders.append(path)
            elif not ignored.match_file(relative):
                yield path


def check_size(root: Path, *, limit: int = UPLOAD_LIMIT) -> int:
    """Bytes that would travel.

    Raises:
        ValueError: If they are more than the limit; names the largest folders.
    """
    sizes: dict[str, int] = {}
    for path in travelling_files(root):
        relative = path.relative_to(root)
        top = relative.parts[0] if len(relative.parts) > 1 else "(files at the top)"
        sizes[top] = sizes.get(top, 0) + path.lstat().st_size
    total = sum(sizes.values())
    if total > limit:
        largest = sorted(sizes.items(), key=lambda item: -item[1])[:3]
        named = ", ".join(f"{name} {size / 1024**2:.0f} MiB" for name, size in largest)
        raise ValueError(
            f"{root}: {total / 1024**2:.0f} MiB would travel to the cluster, the limit is "
            f"{limit / 1024**2:.0f} MiB; largest: {named}; leave folders out in .rayignore"
        )
    return total
