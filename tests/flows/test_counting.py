"""Progress lines: plain and bounded elsewhere, one line drawn again on a terminal."""

from __future__ import annotations

import io

from flows.counting import Counting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_lines_come_now_and_then_and_at_the_end() -> None:
    seconds = iter([0.0, 2.0, 6.0, 7.0, 8.0])
    stream = io.StringIO()
    counting = Counting("clips", 4, stream=stream, clock=lambda: next(seconds))

    for done in (1, 2, 3, 4):
        counting.show(done)

    assert stream.getvalue().splitlines() == [
        "clips: 2/4 (50 %), 0:06 to go",
        "clips: 4/4 (100 %), 0:00 to go",
    ]


def test_a_terminal_sees_every_count_on_one_line() -> None:
    seconds = iter([0.0, 90.0, 180.0])
    stream = Terminal()
    counting = Counting("frames", 2, stream=stream, clock=lambda: next(seconds))

    counting.show(1)
    counting.show(2)

    assert "frames: 1/2 (50 %), 1:30 to go" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_an_unknown_total_gives_a_rate() -> None:
    seconds = iter([0.0, 10.0])
    stream = io.StringIO()

    Counting("frames", None, stream=stream, clock=lambda: next(seconds)).show(50)

    assert stream.getvalue() == "frames: 50, 5.0/s\n"
