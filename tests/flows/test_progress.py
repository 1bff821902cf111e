"""Progress: a plain line per report, a bar on a terminal, both fed from the journal."""

import io
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from flows.journal import Journal
from flows.progress import Progress
from mila.data.storage import open_storage
from mila.training.context import Report


def report(update: int) -> Report:
    metrics = {"loss": 0.25, "val/depth/abs_rel": 0.125, "val/depth/rmse_m": 9.0}
    return Report(
        "joint", update, 10 + update, 40, metrics, {}, clips_per_second=12.5, wait_share=0.04,
        seconds_left=75,
    )  # fmt: skip


def test_a_plain_line_says_what_people_ask_for() -> None:
    stream = io.StringIO()
    Progress(100, stream=stream).show(report(20))

    assert stream.getvalue() == (
        "[ 30 %] joint 20/40  loss 0.25  depth abs_rel 0.125  12.5 clips/s  wait 4 %  left 1:15\n"
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar() -> None:
    stream = Terminal()
    progress = Progress(100, stream=stream)
    progress.show(report(20))
    progress.close()

    assert "joint 20/40" in stream.getvalue()
    assert "left 1:15" in stream.getvalue()


def test_new_records_of_a_journal_are_shown_once(
    tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    journal = Journal(open_storage(tmp_path))
    journal.append(asdict(report(1)), checkpoint="x", attempt=1)  # of an earlier attempt
    stream = io.StringIO()

    with Progress(100, stream=stream).follow(journal, every_s=0.05):
        journal.append(asdict(report(2)), checkpoint="x", attempt=1)
        wait_for(lambda: "joint 2/40" in stream.getvalue())
        journal.append(asdict(report(3)), checkpoint="x", attempt=1)

    lines = stream.getvalue().splitlines()
    assert [line.split()[4] for line in lines] == ["2/40", "3/40"]


def test_notices_stand_between_the_lines(tmp_path: Path, wait_for: Callable[..., None]) -> None:
    journal = Journal(open_storage(tmp_path))
    left = ["checkpoint x failed (1 in a row), going on: disk full"]

    def fetch() -> list[str]:
        texts = left.copy()
        left.clear()
        return texts

    for stream in (io.StringIO(), Terminal()):
        left[:] = ["checkpoint x failed (1 in a row), going on: disk full"]
        progress = Progress(100, stream=stream)
        with progress.follow(journal, every_s=0.05, notices=fetch):
            wait_for(lambda stream=stream: "going on: disk full" in stream.getvalue())
        progress.close()
        assert stream.getvalue().count("going on: disk full") == 1
