import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.parallel import over_all_cores

LARGE = np.zeros((1500, 1500, 3), np.uint8)


def blur(number: int) -> int:
    """Work that OpenCV gives to several threads."""
    return number + int(cv2.warpAffine(LARGE, np.eye(2, 3), (1500, 1500)).sum())


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_order(workers):
    assert list(over_all_cores(abs, [3, -1, 2, -7], workers=workers, what="n")) == [3, 1, 2, 7]


def test_nothing_to_do_is_done():
    assert list(over_all_cores(abs, [], what="n")) == []


@pytest.mark.timeout(60)
def test_processes_work_after_this_one_used_threads():
    cv2.setNumThreads(4)
    blur(0)

    for _ in range(2):
        assert list(over_all_cores(blur, [1, 2, 3], workers=2, what="n")) == [1, 2, 3]


def refuse(number: int) -> int:
    raise ValueError(f"number {number} is bad")


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_come_through(workers):
    with pytest.raises(ValueError, match="number 1 is bad"):
        list(over_all_cores(refuse, [1, 2], workers=workers, what="n"))


def die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.timeout(60)
def test_a_killed_process_is_an_error_and_no_hang():
    with pytest.raises(ValueError, match=r"a process was killed at its work.* workers=2"):
        list(over_all_cores(die, range(20), workers=2, what="n"))


def test_results_do_not_pile_up():
    started = []

    def items():
        for number in range(100):
            started.append(number)
            yield number

    class Lazy:
        def __len__(self):
            return 100

        def __iter__(self):
            return items()

    results = over_all_cores(abs, Lazy(), workers=2, what="n")

    assert next(results) == 0
    assert len(started) == 8
    assert list(results) == list(range(1, 100))


SLEEPY = """
import signal
import time
from pathlib import Path
from pipeline.parallel import over_all_cores

# As at a terminal, also where the tests run in the background, with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

def sleep(number):
    Path(f"started-{number}").touch()
    time.sleep(30 if number < 2 else 0)
    return number

try:
    print(list(over_all_cores(sleep, range(4), workers=2, what="n")))
except KeyboardInterrupt:
    print("stopped")
"""


@pytest.fixture
def sleepers(tmp_path):
    """A program with two busy processes: the program, and all its processes."""
    program = subprocess.Popen(
        [sys.executable, "-c", SLEEPY],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("started-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    yield program
    for pid in _alive(program.pid):
        os.kill(pid, signal.SIGKILL)
    program.wait(20)


def _alive(session: int) -> list[int]:
    """Processes of a session that still run."""
    done = subprocess.run(["ps", "-o", "pid=,stat=", "-s", str(session)], capture_output=True)
    rows = [line.split() for line in done.stdout.decode().splitlines()]
    return [int(pid) for pid, state in rows if not state.startswith("Z")]


def _gone(session: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while _alive(session) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not _alive(session)


def test_processes_end_with_a_killed_parent(sleepers):
    assert len(_alive(sleepers.pid)) == 3

    sleepers.kill()

    assert _gone(sleepers.pid, 10)


def test_ctrl_c_is_quiet(sleepers, tmp_path):
    """A terminal sends it to all processes; those at work are waited for, here they are ended."""
    os.killpg(sleepers.pid, signal.SIGINT)
    time.sleep(0.5)
    for pid in set(_alive(sleepers.pid)) - {sleepers.pid}:
        os.kill(pid, signal.SIGTERM)
    said, errors = sleepers.communicate(timeout=20)

    assert said == "stopped\n"
    assert "Traceback" not in errors, errors


def test_progress_is_lines_without_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("pipeline.parallel._LINE_EVERY_S", -1.0)

    list(over_all_cores(abs, [1, 2], workers=1, what="clip"))

    lines = capsys.readouterr().err.splitlines()
    assert lines == ["1/2 clips, about 0 s to go", "2/2 clips, about 0 s to go"]
