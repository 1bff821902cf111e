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
