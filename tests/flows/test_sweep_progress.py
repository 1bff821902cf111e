"""Progress of a sweep: share, score and time to go of the whole."""

from flows.sweep_progress import SweepProgress


def result(updates: int) -> dict[str, float]:
    return {"updates": updates, "score": 0.5, "gmac_per_frame": 0.25}


def test_lines_tell_how_far_the_whole_sweep_is() -> None:
    lines: list[str] = []
    now = [0.0]
    told = SweepProgress(2, 80, lines.append, clock=lambda: now[0])
    now[0] = 30.0

    told.on_trial_result(0, [], "k3-r2-s0", result(40))
    told.on_trial_complete(0, [], "k3-r2-s0")
    now[0] = 90.0
    told.on_trial_result(0, [], "k6-r2-s0", result(40))

    assert lines == [
        "[ 25 %] k3-r2-s0 40/80  score 0.5000  0.250 GMAC per frame  left 1:30",
        "[ 75 %] k6-r2-s0 40/80  score 0.5000  0.250 GMAC per frame  left 0:30",
    ]


def test_a_sweep_that_goes_on_counts_its_own_time() -> None:
    lines: list[str] = []
    now = [1000.0]
    told = SweepProgress(1, 80, lines.append, clock=lambda: now[0])
    now[0] = 5000.0
    told.setup()
    now[0] = 5010.0
    told.on_trial_result(0, [], "k3-r2-s0", result(40))
    assert lines[0].endswith("left 0:10")
