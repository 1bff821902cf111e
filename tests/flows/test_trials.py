"""The grid of a sweep and what each of its trials trains."""

import pytest

from flows.trials import Trial, frames_per_update, grid, score_of, trial_params
from mila.overrides import load_params
from mila.training.stages import build_stages


def test_the_grid_holds_every_combination_once():
    params = load_params(
        ["sweep.keyframe_intervals=[2,4]", "sweep.radii=[1,3]", "sweep.seeds=[0,1]"]
    )
    trials = grid(params)
    assert len(trials) == len({trial.name for trial in trials}) == 8
    assert trials[0] == Trial(2, 1, 0)
    assert trials[-1] == Trial(4, 3, 1)


@pytest.mark.parametrize(
    "word", ["sweep.keyframe_intervals=[0,2]", "sweep.radii=[]", "sweep.seeds=[1,1]"]
)
def test_values_no_trial_can_have_are_refused_by_name(word):
    with pytest.raises(ValueError, match=word.partition("=")[0]):
        grid(load_params([word]))


def test_a_trial_trains_the_joint_stage_alone_with_offsets_below_its_interval():
    params = load_params(["sweep.updates=10", "sweep.grace=0.5"])
    mine = trial_params(params, Trial(keyframe_interval=6, radius=3, seed=7))
    assert [(s.name, s.settings.updates) for s in build_stages(mine.train)] == [("joint", 10)]
    assert mine.train.max_offset == 5
    assert mine.train.seed == 7
    assert mine.train.report_every == 5
    assert mine.model.propagation.radius == 3
    assert mine.evaluation.keyframe_interval == 6
    assert trial_params(params, Trial(1, 3, 0)).train.max_offset == 1


def test_the_frame_before_counts_as_a_processed_frame():
    plain = load_params(["train.joint.batch_size=4", "model.propagation.multi_frame=false"])
    multi = load_params(["train.joint.batch_size=4", "model.propagation.multi_frame=true"])
    assert frames_per_update(plain) == 8
    assert frames_per_update(multi) == 12


def test_trials_compete_by_the_first_task_and_higher_is_better():
    metrics = {"val/semseg/mean_iou": 0.6, "val/depth/abs_rel": 0.2}
    assert score_of(load_params(["model.tasks=[semseg,depth]"]), metrics) == 0.6
    assert score_of(load_params(["model.tasks=[depth,semseg]"]), metrics) == -0.2
