"""A section given in part keeps the rest of its own default."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from mila.config import Params, StageSettings
from mila.overrides import load_params


def test_one_setting_of_a_stage_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("{}")

    params = load_params(["train.slow.updates=7"], file=tmp_path / "params.yaml")

    default = Params().train.slow
    assert default.batch_size != StageSettings().batch_size
    assert params.train.slow == default.model_copy(update={"updates": 7})


def test_a_whole_section_is_taken_as_given() -> None:
    given = Params().model_dump()
    given["model"]["fast"]["widths"] = (8, 8, 8, 8)

    read = Params.model_validate(given)

    assert read.model_dump() == given
    assert Params.model_validate(read.model_dump()) == read


def test_what_is_no_section_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match=r"train\.slow"):
        Params.model_validate({"train": {"slow": 3}})
    with pytest.raises(ValidationError, match="upates"):
        Params.model_validate({"train": {"slow": {"upates": 3}}})


def test_more_supervised_frames_than_a_clip_can_have_are_refused() -> None:
    assert load_params(["train.supervised=3", "train.max_offset=3"]).joint_walk == 3
    with pytest.raises(ValueError, match=r"train\.supervised=4: .* train\.max_offset=3"):
        load_params(["train.supervised=4", "train.max_offset=3"])


def test_the_joint_stage_walks_the_frame_before_where_attention_asks_for_it() -> None:
    assert load_params([]).joint_walk == 2
    assert load_params(["model.propagation.multi_frame=false"]).joint_walk == 1
    assert load_params(["model.propagation.kind=copy", "train.supervised=3"]).joint_walk == 3
