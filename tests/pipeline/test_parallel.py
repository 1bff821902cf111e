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


def test_progress_is_lines_without_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("pipeline.parallel._LINE_EVERY_S", -1.0)

    list(over_all_cores(abs, [1, 2], workers=1, what="clip"))

    lines = capsys.readouterr().err.splitlines()
    assert lines == ["1/2 clips, about 0 s to go", "2/2 clips, about 0 s to go"]
