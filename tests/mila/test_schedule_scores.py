"""Schedules on whole streams: equal to plain walks, paid for as they answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from mila.clip import Clip
from mila.cost import frame_costs
from mila.evaluation import Protocol
from mila.keyframes import AdaptiveSchedule, FixedSchedule
from mila.metrics import build_metrics
from mila.model import Mila
from mila.schedule_scores import compare_schedules, score_schedule

MakeModel = Callable[..., Mila]
MakeBatch = Callable[..., Clip]
PROTOCOL = Protocol(("semseg", "depth"), "cityscapes", 80.0, (1, 2, 4), 2)


def test_a_fixed_schedule_equals_the_model_on_the_clip(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    model, clips = make_model(), [make_batch(1, 5), make_batch(1, 3, seed=1)]
    wanted = build_metrics(("semseg", "depth"), "cityscapes", 80.0)
    with torch.no_grad():
        for clip in clips:
            for t, (predictions, _) in enumerate(model(clip.images, keyframe_interval=2)):
                wanted.add(predictions, clip.labels_at(t))

    score = score_schedule(model, clips, FixedSchedule(2), PROTOCOL)

    assert score.figures == pytest.approx(wanted.compute(), rel=1e-5)
    assert (score.frames, score.keyframes, score.refreshed) == (8, 3 + 2, 0)
    assert score.uncertainties == ()
    assert score.mean_interval == 8 / 5


def test_a_refreshed_frame_is_paid_for_twice(make_model: MakeModel, make_batch: MakeBatch) -> None:
    model = make_model()
    always = AdaptiveSchedule(threshold=-1.0, longest=9)

    score = score_schedule(model, [make_batch(1, 5)], always, PROTOCOL)

    costs = frame_costs(model, 32, 48)
    slow = score_schedule(model, [make_batch(1, 5)], FixedSchedule(1), PROTOCOL)
    assert (score.keyframes, score.refreshed) == (5, 4)
    assert score.figures == slow.figures
    assert score.macs_per_frame(costs) == costs.keyframe + 4 / 5 * costs.non_keyframe
    assert all(0 <= u <= 1 for u in score.uncertainties)


def test_fixed_and_adaptive_schedules_side_by_side(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    model = make_model()
    with torch.no_grad():  # Attention of fresh weights is undecided everywhere alike.
        for parameter in model.propagation.parameters():
            parameter.mul_(30)
    clips = [make_batch(1, 8, seed=seed) for seed in range(3)]
    costs = frame_costs(model, 32, 48)

    rows = compare_schedules(model, lambda: clips, lambda: clips, PROTOCOL, costs, (0.0, 0.5, 1.0))

    fixed = {row["interval"]: row for row in rows if row["schedule"] == "fixed"}
    assert set(fixed) == {2, 4}
    assert fixed[4]["gmac_per_frame"] == pytest.approx(costs.amortised(4) / 1e9)
    adaptive = [row for row in rows if row["schedule"] == "adaptive"]
    calm, some, all_frames = (row["mean_interval"] for row in adaptive)
    assert calm == fixed[4]["mean_interval"] == 4
    assert calm > some > all_frames == 1
    assert adaptive[0]["depth/abs_rel"] == pytest.approx(fixed[4]["depth/abs_rel"])


def test_a_propagation_without_uncertainty_is_refused(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    model = make_model(kind="copy")
    clips = [make_batch(1, 3)]

    with pytest.raises(ValueError, match="needs a propagation that tells its uncertainty"):
        compare_schedules(
            model, lambda: clips, lambda: clips, PROTOCOL, frame_costs(model, 32, 48), (0.1,)
        )
