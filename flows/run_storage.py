"""What a run keeps under its name: identity, journal, checkpoints; with Ray and without it.

The journal alone says what is committed. A plain process and Ray workers read and write the same
folder, so a run begun by one can be gone on with by the other.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flows.checkpoints import Checkpoints, new_checkpoint_name
from flows.journal import Journal, Record
from mila.config import ClusterSettings
from mila.data.storage import Storage, StorageError, open_storage
from mila.identity import Identity, difference

if TYPE_CHECKING:  # a finished run is recognised without waiting for torch
    from mila.training.context import Checkpointable, Report

_LOG = logging.getLogger(__name__)
_IDENTITY = "identity.json"


class RunStorage:
    """The storage of one run; may be pickled."""

    def __init__(self, url: str) -> None:
        """Look at a folder or s3:// prefix; nothing is read yet."""
        self.url = url
        self.storage: Storage = open_storage(url)
        self.journal = Journal(self.storage)
        self.checkpoints = Checkpoints(self.storage)

    def bind(self, identity: Identity, *, accept_sources: bool = False) -> Identity:
        """Tie the run to an identity, once and for all.

        Args:
            identity: Of the settings, inputs and sources at hand.
            accept_sources: Go on although the sources changed since the run began.

        Returns:
            The identity the run is tied to.

        Raises:
            ValueError: If the run began with another one; says what differs.
        """
        self.storage.put_if_absent(_IDENTITY, identity.to_json().encode())
        bound = Identity.from_json(self.storage.read(_IDENTITY))
        now = replace(identity, sources=bound.sources) if accept_sources else identity
        if changes := difference(bound, now):
            raise ValueError(_refusal(self.url, changes))
        return bound

    def registered(self, checkpoint: str) -> bool:
        """Whether the newest record of the journal names this checkpoint."""
        last = self.journal.last()
        return last is not None and last.checkpoint == checkpoint

    def finished(self) -> bool:
        """Whether the last report of the run is committed."""
        last = self.journal.last()
        return last is not None and bool(last.report["last"])

    def restore(self, state: Checkpointable) -> Record | None:
        """Load the newest committed checkpoint into a state; None if there is none."""
        last = self.journal.last()
        if last is not None:
            with tempfile.TemporaryDirectory(prefix="mila-") as folder:
                self.checkpoints.load(last.checkpoint, Path(folder))
                state.load(Path(folder))
        return last

    def keep_newest(self, number: int) -> None:
        """Delete all checkpoints but the newest committed ones, remains of broken uploads too."""
        length = self.journal.length()
        newest = range(max(1, length - number + 1), length + 1)
        self.checkpoints.prune({self.journal.read(n).checkpoint for n in newest})


@dataclass(frozen=True)
class Stored:
    """A checkpoint that is stored and verified, and has to be registered.

    Attributes:
        report: With what reports whose checkpoints failed had to say.
        checkpoint: Its name.
    """

    report: Report
    checkpoint: str


class Keeper:
    """Stores the state with each report; trouble with the storage warns before it stops the run."""

    def __init__(
        self, run: RunStorage, cluster: ClusterSettings, *, warn: Callable[[str], None]
    ) -> None:
        """Begin.

        Args:
            run: Where checkpoints go.
            cluster: Failed checkpoints in a row with which training goes on, checkpoints kept.
            warn: Told of each failed checkpoint, beside this process's log.
        """
        self._run = run
        self._tolerate = cluster.checkpoint_failures
        self._keep = cluster.keep_checkpoints
        self._warn = warn
        self._waiting: list[Report] = []
        self._unsure = ("", 0)  # checkpoint handed over for registering, reports it carries

    def store(self, report: Report, state: Checkpointable) -> Stored | None:
        """Write a checkpoint; None if the storage failed and training may go on.

        Raises:
            OSError: If too many failed in a row, or the last one of the run.
        """
        self._waiting.append(report)
        name = new_checkpoint_name(report.total_update)
        try:
            with tempfile.TemporaryDirectory(prefix="mila-") as folder:
                state.save(Path(folder))
                self._run.checkpoints.save(Path(folder), name)
            checkpoint, carried = self._unsure
            if carried and self._run.registered(checkpoint):  # its record was written after all
                del self._waiting[:carried]
        except OSError as error:  # StorageError is one, a full disk another
            self._failed(name, error)
            return None
        self._unsure = (name, len(self._waiting))
        return Stored(_joined(self._waiting), name)

    def confirm(self, stored: Stored, register: Callable[[], object]) -> bool:
        """Have a stored checkpoint registered, then delete older ones.

        Returns:
            Whether it is committed; False if the storage failed and training may go on.

        Raises:
            OSError: As `store` does.
        """
        try:
            register()
        except OSError as error:
            self._failed(stored.checkpoint, error)
            return False
        self._waiting, self._unsure = [], ("", 0)
        with contextlib.suppress(StorageError):  # then they go next time
            self._run.keep_newest(self._keep)
        return True

    def _failed(self, name: str, error: OSError) -> None:
        """Warn of a failed checkpoint, or raise its error if that was one too many."""
        failed = len(self._waiting)
        if self._waiting[-1].last or failed > self._tolerate:
            raise error
        text = f"checkpoint {name} failed ({failed} in a row), going on: {error}"
        _LOG.warning("%s", text)
        self._warn(text)


def _joined(reports: Iterable[Report]) -> Report:
    """The last report, with the series of all."""
    *earlier, last = reports
    series = {name: list(values) for name, values in last.series.items()}
    for report in reversed(earlier):
        for name, values in report.series.items():
            series[name] = [*values, *series.get(name, [])]
    return replace(last, series=series)


def _refusal(url: str, changes: list[str]) -> str:
    shown = changes[:20] + ([f"and {len(changes) - 20} more"] if len(changes) > 20 else [])
    return (
        f"run {url} was begun with another identity; give it another name=, or undo this:\n  "
        + "\n  ".join(shown)
    )
