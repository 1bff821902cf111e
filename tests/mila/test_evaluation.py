"""Evaluation at every offset: against a plain walk, on the same frames, in any batches."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from mila.clip import Clip
from mila.evaluation import BY_OFFSET, METHODS, Evaluation, Protocol, evaluate
from mila.metrics import build_metrics
from mila.model import Mila
from mila.scoring import batched
from mila.temporal import Consistency

MakeModel = Callable[..., Mila]
MakeBatch = Callable[..., Clip]


def protocol(*intervals: int, interval: int | None = None) -> Protocol:
    return Protocol(
        tasks=("semseg", "depth"),
        label_set="cityscapes",
        depth_limit=80.0,
        intervals=intervals,
        interval=interval or intervals[-1],
    )


def figures(evaluation: Evaluation, method: str, interval: int) -> list[dict[str, float]]:
    return [metrics.compute() for metrics in evaluation.at(method, interval)]


def by_plain_walk(model: Mila, clip: Clip, *, frame: int, offset: int, method: str) -> dict:
    """One frame whose keyframe lies `offset` frames before it."""
    metrics = build_metrics(("semseg", "depth"), "cityscapes", 80.0)
    with torch.no_grad():
        predictions, memory = model.step(clip.images[:, frame - offset], None, True)
        for now in range(frame - offset + 1, frame + 1):
            if method == "copy":
                predictions = model.copied_predictions(memory, (32, 48))
            else:
                predictions, memory = model.step(clip.images[:, now], memory, False)
    metrics.add(predictions, clip.labels_at(frame))
    return metrics.compute()


@pytest.mark.parametrize("method", BY_OFFSET)
@pytest.mark.parametrize("multi_frame", [False, True])
def test_equals_a_plain_walk_at_every_offset(
    make_model: MakeModel, make_batch: MakeBatch, method: str, multi_frame: bool
) -> None:
    model, clip = make_model(multi_frame=multi_frame), make_batch(2, 4)

    evaluation = evaluate(model, [clip], protocol(1, 4))

    for offset, got in enumerate(figures(evaluation, method, 4)):
        wanted = by_plain_walk(model, clip, frame=3, offset=offset, method=method)
        assert got == pytest.approx(wanted, rel=1e-5)


def test_per_frame_methods_are_the_same_at_every_offset_and_see_the_scored_frames(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    model, clip = make_model(), make_batch(2, 5)
    wanted = {name: build_metrics(("semseg", "depth"), "cityscapes", 80.0) for name in METHODS[:2]}
    with torch.no_grad():
        for now in (2, 3, 4):
            labels = clip.labels_at(now)
            wanted["slow"].add(model.slow_predictions(clip.images[:, now]), labels)
            wanted["fast"].add(model.fast_predictions(clip.images[:, now]), labels)

    evaluation = evaluate(model, [clip], protocol(1, 2, 3))

    for name, metrics in wanted.items():
        for got in figures(evaluation, name, 3):
            assert got == pytest.approx(metrics.compute(), rel=1e-5)


def test_all_offsets_score_the_same_pixels(make_model: MakeModel, make_batch: MakeBatch) -> None:
    evaluation = evaluate(make_model(), [make_batch(3, 6)], protocol(1, 2, 4))

    for interval in (1, 2, 4):
        for method in METHODS:
            pixels = {
                metrics.by_task[task].pixels()
                for metrics in evaluation.at(method, interval)
                for task in ("semseg", "depth")
            }
            assert pixels == {3 * 3 * 32 * 48}
        assert evaluation.scored_frames(interval) == 9


def test_interval_one_is_the_slow_network(make_model: MakeModel, make_batch: MakeBatch) -> None:
    evaluation = evaluate(make_model(), [make_batch(2, 3)], protocol(1, 3))

    slow = figures(evaluation, "slow", 1)
    assert figures(evaluation, "mila", 1) == figures(evaluation, "copy", 1) == slow


def test_batches_do_not_matter(make_model: MakeModel, make_batch: MakeBatch) -> None:
    model = make_model(multi_frame=True)
    first, second = make_batch(2, 4, seed=1, flow=True), make_batch(1, 4, seed=2, flow=True)
    assert first.flow is not None
    assert second.flow is not None
    both = Clip(
        images=torch.cat([first.images, second.images]),
        labels={t: torch.cat([first.labels[t], second.labels[t]]) for t in first.labels},
        frames=torch.cat([first.frames, second.frames]),
        keys=first.keys + second.keys,
        flow=torch.cat([first.flow, second.flow]),
    )

    (joined,) = batched([first, second], 2)
    assert torch.equal(joined.images, both.images)
    assert torch.equal(joined.flow, both.flow)
    assert joined.keys == both.keys

    whole = evaluate(model, [joined], protocol(1, 3))
    parts = evaluate(model, [first, second], protocol(1, 3))
    merged = evaluate(model, [first], protocol(1, 3))
    merged.merge(evaluate(model, [second], protocol(1, 3)))

    for other in (parts, merged):
        assert other.scored_frames(3) == whole.scored_frames(3) == 6
        for method in METHODS:
            for got, wanted in zip(
                figures(other, method, 3), figures(whole, method, 3), strict=True
            ):
                assert got == pytest.approx(wanted, rel=1e-4)
        for name, consistency in whole.streams.items():
            assert other.streams[name].compute() == pytest.approx(consistency.compute(), rel=1e-4)


def test_batches_are_of_one_shape_and_bounded(make_batch: MakeBatch) -> None:
    clips = [make_batch(1, frames, seed=i) for i, frames in enumerate((3, 3, 3, 2, 3))]

    batches = list(batched(clips, 2))

    assert [tuple(batch.images.shape[:2]) for batch in batches] == [(2, 3), (1, 3), (1, 2), (1, 3)]
    assert [key for batch in batches for key in batch.keys] == [clip.keys[0] for clip in clips]


def test_only_labelled_frames_are_scored(make_model: MakeModel, make_batch: MakeBatch) -> None:
    clip = make_batch(2, 6)
    clip.labels["semseg"][:, [0, 1, 2, 3, 5]] = 255
    clip.labels["depth"][:] = 0

    evaluation = evaluate(make_model(), [clip], protocol(1, 3))

    assert evaluation.scored_frames(3) == 2
    (slow,) = {tuple(sorted(f)) for f in figures(evaluation, "mila", 3)}
    assert slow == ("semseg/mean_iou", "semseg/pixel_accuracy")


def test_short_clips_count_only_for_the_intervals_they_allow(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    model, long, short = make_model(), make_batch(1, 4), make_batch(2, 2, seed=1)

    evaluation = evaluate(model, [long, short], protocol(1, 2, 4))

    alone = evaluate(model, [long], protocol(1, 2, 4))
    assert evaluation.scored_frames(4) == 1
    assert evaluation.scored_frames(2) == 3
    assert figures(evaluation, "mila", 4) == figures(alone, "mila", 4)


def test_an_interval_that_no_clip_allows_is_named(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    evaluation = evaluate(make_model(), [make_batch(1, 3)], protocol(1, 3, 5, interval=3))

    with pytest.raises(ValueError, match="interval 5 needs a labelled frame with 4 frames before"):
        evaluation.at("mila", 5)


def test_nothing_to_score_is_an_error(make_model: MakeModel, make_batch: MakeBatch) -> None:
    clip = make_batch(1, 2)
    clip.labels["semseg"][:] = 255
    clip.labels["depth"][:] = 0

    with pytest.raises(ValueError, match="none of 1 clips has a labelled frame"):
        evaluate(make_model(), [clip], protocol(1))


def test_headline_must_be_measured() -> None:
    with pytest.raises(ValueError, match=r"keyframe_interval=5 must be one of .*\[1, 2\]"):
        protocol(1, 2, interval=5)


def test_consistency_follows_the_stream(make_model: MakeModel, make_batch: MakeBatch) -> None:
    model, clip = make_model(), make_batch(1, 5, flow=True)
    assert clip.flow is not None
    wanted = Consistency(("semseg", "depth"), "cityscapes", 80.0)
    refresh = Consistency(("semseg", "depth"), "cityscapes", 80.0)
    with torch.no_grad():
        answers = [
            {"semseg": p["semseg"].argmax(dim=1), "depth": p["depth"]}
            for p, _ in model(clip.images, keyframe_interval=2)
        ]
    for t in range(1, 5):
        wanted.add(answers[t - 1], answers[t], clip.flow[:, t])
        if t % 2 == 0:
            refresh.add(answers[t - 1], answers[t], clip.flow[:, t])

    streams = evaluate(model, [clip], protocol(1, 2)).streams

    assert streams["mila"].compute() == pytest.approx(wanted.compute(), rel=1e-4)
    assert streams["mila_refresh"].compute() == pytest.approx(refresh.compute(), rel=1e-4)
    assert not math.isnan(streams["truth"].compute()["depth/log_change"])


def test_progress_counts_clips(make_model: MakeModel, make_batch: MakeBatch) -> None:
    seen: list[int] = []

    clips = [make_batch(2, 2), make_batch(1, 2, seed=1)]
    evaluate(make_model(), clips, protocol(1), progress=seen.append)

    assert seen == [2, 3]
