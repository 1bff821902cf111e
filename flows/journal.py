"""The history of a run: a numbered record per committed report, written before anyone hears of it.

A report is committed exactly when its record exists. Numbers have no gaps, and a number is written
once: of two trainers that both believe to own the run, one fails at its next record.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mila.data.storage import Storage

_FOLDER = "journal/"


class TakenOverError(RuntimeError):
    """Somebody else goes on with the run: this process has to end."""


@dataclass(frozen=True)
class Record:
    """One committed report.

    Attributes:
        number: Place in the history, from 1.
        report: Fields of `mila.training.context.Report`.
        checkpoint: Name of the checkpoint that holds the state after it.
        attempt: Generation of the lease under which it was made.
        time: When it was written, seconds since 1970; also the time of its metrics, so that
            sending a record twice sends equal points.
    """

    number: int
    report: Mapping[str, Any]
    checkpoint: str
    attempt: int
    time: float


class Journal:
    """The records of one run in its storage."""

    def __init__(self, storage: Storage) -> None:
        """Look at the storage of a run; nothing is read yet."""
        self._storage = storage

    def append(self, report: Mapping[str, Any], *, checkpoint: str, attempt: int) -> Record:
        """Write the next record; it is on disk, or stored, when this returns.

        Raises:
            TakenOverError: If another trainer wrote that record in the meantime.
        """
        record = Record(self.length() + 1, report, checkpoint, attempt, round(time.time(), 3))
        text = json.dumps(asdict(record))
        if not self._storage.put_if_absent(_name(record.number), text.encode()):
            raise TakenOverError(
                f"{self._storage.url}: another trainer wrote record {record.number} of this run"
            )
        return record

    def length(self) -> int:
        """How many records there are."""
        entries = self._storage.list(_FOLDER)
        return int(entries[-1].name.removeprefix(_FOLDER).removesuffix(".json")) if entries else 0

    def last(self) -> Record | None:
        """The newest record; None before the first."""
        length = self.length()
        return self.read(length) if length else None

    def since(self, number: int) -> Iterator[Record]:
        """Records after a number, in order."""
        for later in range(number + 1, self.length() + 1):
            yield self.read(later)

    def read(self, number: int) -> Record:
        """One record.

        Raises:
            ValueError: If it is missing or is not a record.
        """
        where = f"{self._storage.url}/{_name(number)}"
        try:
            return Record(**json.loads(self._storage.read(_name(number))))
        except FileNotFoundError:
            raise ValueError(f"{where}: this record of the run is missing") from None
        except (json.JSONDecodeError, TypeError) as error:
            raise ValueError(f"{where}: not a record of a run ({error})") from None


def _name(number: int) -> str:
    return f"{_FOLDER}{number:08d}.json"
