"""The walk over a stream: keyframes where they are due, memory from frame to frame, times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest
import torch

from mila.clip import Clip
from mila.keyframes import AdaptiveSchedule, FixedSchedule
from mila.latency import hardware, measure_latency, spread, torch_threads
from mila.model import Mila
from mila.streaming import Frame, stream

MakeModel = Callable[..., Mila]
MakeBatch = Callable[..., Clip]


def frames_of(clip: Clip, *, cuts: tuple[int, ...] = ()) -> Iterator[Frame]:
    for t in range(clip.images.shape[1]):
        yield Frame(clip.images[:, t], cut=t in cuts)


@pytest.mark.parametrize("multi_frame", [False, True])
def test_equals_the_whole_clip_at_once(
    make_model: MakeModel, make_batch: MakeBatch, multi_frame: bool
) -> None:
    model, clip = make_model(multi_frame=multi_frame), make_batch(1, 7)
    with torch.no_grad():
        wanted = [p for p, _ in model(clip.images, keyframe_interval=3)]

    answers = list(stream(model, frames_of(clip), FixedSchedule(3)))

    assert [a.keyframe for a in answers] == [True, False, False, True, False, False, True]
    assert [a.offset for a in answers] == [0, 1, 2, 0, 1, 2, 0]
    for answer, predictions in zip(answers, wanted, strict=True):
        for task, value in predictions.items():
            torch.testing.assert_close(answer.predictions[task], value)


def test_a_cut_and_a_change_of_size_start_anew(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    frames = list(frames_of(make_batch(1, 6), cuts=(2,)))
    frames[4] = Frame(torch.zeros(1, 3, 48, 48, dtype=torch.uint8))

    answers = list(stream(make_model(), frames, FixedSchedule(10)))

    assert [a.offset for a in answers] == [0, 1, 0, 1, 0, 0]


def test_adaptive_answers_lost_frames_by_the_slow_path(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    model, clip = make_model(), make_batch(1, 6)
    never = AdaptiveSchedule(threshold=1.0, longest=4)
    always = AdaptiveSchedule(threshold=-1.0, longest=9, shortest=2)

    calm = list(stream(model, frames_of(clip), never))
    lost = list(stream(model, frames_of(clip), always))

    assert [a.offset for a in calm] == [0, 1, 2, 3, 0, 1]
    assert [a.offset for a in lost] == [0, 1, 0, 1, 0, 1]
    slow = model.slow_predictions(clip.images[:, 2])
    torch.testing.assert_close(lost[2].predictions["depth"], slow["depth"])


def test_adaptive_needs_a_propagation_that_knows_when_it_is_lost(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    schedule = AdaptiveSchedule(threshold=0.5, longest=4)

    with pytest.raises(ValueError, match="needs a propagation that tells its uncertainty"):
        list(stream(make_model(kind="copy"), frames_of(make_batch(1, 2)), schedule))


def test_no_frame_depends_on_a_later_one(make_model: MakeModel, make_batch: MakeBatch) -> None:
    model, clip = make_model(multi_frame=True), make_batch(1, 5)
    changed = clip.images.clone()
    changed[:, 4] = 0

    first = list(stream(model, frames_of(clip), FixedSchedule(5)))[3]
    other = list(stream(model, map(Frame, changed.unbind(dim=1)), FixedSchedule(5)))[3]

    assert torch.equal(first.predictions["depth"], other.predictions["depth"])


def test_seconds_are_those_of_the_model_alone(make_model: MakeModel, make_batch: MakeBatch) -> None:
    ticks = count()

    answers = stream(
        make_model(),
        frames_of(make_batch(1, 3)),
        FixedSchedule(2),
        clock=lambda: float(next(ticks)),
    )

    assert [a.seconds for a in answers] == [1.0, 1.0, 1.0]


def test_latency_of_all_paths_in_turns(make_model: MakeModel, make_batch: MakeBatch) -> None:
    frames = list(frames_of(make_batch(1, 7)))
    threads = torch.get_num_threads()

    latency = measure_latency(make_model(), frames, interval=3, threads=1)

    assert [t.keyframe for t in latency.trace] == [True, False, False] * 2 + [True]
    assert len(latency.slow) == len(latency.fast) == 7
    assert (len(latency.keyframes()), len(latency.non_keyframes())) == (3, 4)
    assert min(*latency.slow, *latency.fast, *latency.non_keyframes()) > 0
    assert torch.get_num_threads() == threads


def test_threads_are_put_back_after_an_error() -> None:
    before = torch.get_num_threads()

    with pytest.raises(RuntimeError, match="inside"), torch_threads(before + 1):
        raise RuntimeError("inside")

    assert torch.get_num_threads() == before


def test_spread_by_hand() -> None:
    result = spread([4.0, 1.0, 3.0, 2.0])

    assert result is not None
    assert (result.count, result.mean, result.median) == (4, 2.5, 2.5)
    assert (result.p95, result.max) == (4.0, 4.0)
    assert spread([]) is None
    hundred = spread([float(n) for n in range(1, 101)])
    assert hundred is not None
    assert (hundred.median, hundred.p95) == (50.5, 95.0)


def test_hardware_names_no_host() -> None:
    import platform

    facts = hardware()

    assert {"cpu", "cores", "device", "torch", "python"} == set(facts)
    assert platform.node() not in facts.values()
