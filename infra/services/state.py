"""The state file of the services: what was started, under which ports and process ids.

Standard library only, so that the scripts can use any Python. A process is known by its id and its
start time: an id that was given to somebody else since is nobody of ours.
"""

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main(words: list[str]) -> int:
    """Run one command: `state.py FILE get|set|port|record|alive|names ...`."""
    file, command, *rest = words
    return _COMMANDS[command](Path(file), *rest)


def read(file: Path) -> dict[str, Any]:
    """The whole state; empty if there is none."""
    try:
        state: dict[str, Any] = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    return state


def is_alive(process: dict[str, Any]) -> bool:
    """Whether this very process still runs; one that ended and waits to be reaped does not."""
    return process["started"] != "" and _started(process["pid"]) == process["started"]


def _get(file: Path, key: str) -> int:
    """Print a value; nothing if there is none."""
    sys.stdout.write(str(read(file).get("values", {}).get(key, "")))
    return 0


def _set(file: Path, key: str, value: str) -> int:
    _change(file, "values", key, value)
    return 0


def _port(file: Path, name: str, address: str) -> int:
    """Print the port of a service; the kernel is asked for a free one the first time."""
    known = read(file).get("ports", {}).get(name)
    if known is None:
        with socket.socket() as probe:
            probe.bind((address, 0))
            known = probe.getsockname()[1]
        _change(file, "ports", name, known)
    sys.stdout.write(str(known))
    return 0


def _record(file: Path, name: str, pid: str) -> int:
    _change(file, "processes", name, {"pid": int(pid), "started": _started(int(pid))})
    return 0


def _alive(file: Path, name: str) -> int:
    """Print the pid of a live process and succeed, or fail."""
    process = read(file).get("processes", {}).get(name)
    if process is None or not is_alive(process):
        return 1
    sys.stdout.write(str(process["pid"]))
    return 0


def _names(file: Path) -> int:
    """Print the names of all recorded processes, oldest first."""
    sys.stdout.write("\n".join(read(file).get("processes", {})))
    return 0


def _change(file: Path, section: str, key: str, value: Any) -> None:
    state = read(file)
    state.setdefault(section, {})[key] = value
    new = file.with_suffix(".new")
    new.write_text(json.dumps(state, indent=1) + "\n")
    os.replace(new, file)


def _started(pid: int) -> str:
    """Start time of a process in clock ticks since boot; empty if there is none."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    except OSError:
        return ""
    fields = after_name.split()
    return "" if fields[0] in ("Z", "X") else fields[19]


_COMMANDS: dict[str, Callable[..., int]] = {
    "get": _get,
    "set": _set,
    "port": _port,
    "record": _record,
    "alive": _alive,
    "names": _names,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
