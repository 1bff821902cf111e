"""A run's identity: what changes it, what does not, and how a difference reads."""

from pathlib import Path

import pytest

from mila.config import Params
from mila.identity import (
    Identity,
    checked_run_name,
    code_of,
    difference,
    digest_path,
    identify,
    run_name,
    source_digests,
)
from mila.overrides import check

INPUTS = {"data.root": "a" * 64}


def identity(tree: dict | None = None, inputs: dict[str, str] = INPUTS) -> Identity:
    return identify(check(tree or {}), inputs)


def test_same_settings_give_the_same_fingerprint() -> None:
    assert identity().fingerprint == identity().fingerprint
    assert run_name("train", identity()) == f"train-{identity().fingerprint[:10]}"


@pytest.mark.parametrize(
    "tree",
    [
        {"train": {"seed": 7}},
        {"model": {"propagation": {"radius": 7}}},
        {"loss": {"depth": 2.5}},
        {"data": {"flip": False}},
    ],
)
def test_settings_that_decide_change_it(tree: dict) -> None:
    assert identity(tree).fingerprint != identity().fingerprint


@pytest.mark.parametrize(
    "tree",
    [
        {"cluster": {"num_workers": 2, "storage": "elsewhere"}},
        {"data": {"loader_workers": 3}},
        {"train": {"report_every": 7}},
        {"evaluation": {"keyframe_interval": 3}},
        {"world": {"seed": 5}},
    ],
)
def test_settings_with_the_same_result_do_not(tree: dict) -> None:
    assert identity(tree).fingerprint == identity().fingerprint


def test_an_input_counts_by_content_not_by_path() -> None:
    moved = identity({"data": {"root": "/somewhere/else"}})
    other = identity(inputs={"data.root": "b" * 64})

    assert moved.fingerprint == identity().fingerprint
    assert other.fingerprint != identity().fingerprint


def test_difference_names_settings_inputs_and_sources() -> None:
    old = Identity(
        {"train.seed": 0, "loss.depth": 1.0}, {"data.root": "a" * 64}, {"m.py": "1", "g.py": "2"}
    )
    new = Identity(
        {"train.seed": 3, "loss.depth": 1.0}, {"data.root": "b" * 64}, {"m.py": "9", "n.py": "2"}
    )

    assert difference(old, new) == [
        "train.seed: 0 -> 3",
        f"data.root: content {'a' * 12} -> {'b' * 12}",
        "g.py: source file is gone",
        "m.py: code changed",
        "n.py: new source file",
    ]
    assert difference(old, old) == []


def test_json_and_back() -> None:
    there = identity({"data": {"crop": [32, 64]}})

    back = Identity.from_json(there.to_json())

    assert back.fingerprint == there.fingerprint
    assert difference(there, back) == []


SOURCE = '''"""Module."""

import os  # why


class A:
    """Class."""

    size: int = 3
    """Sentence below a setting."""

    def f(self) -> str:
        """Doc
        over lines."""
        return "# no comment"  # a \u00e9 comment


'''

CODE = """import os
class A:
    size: int = 3
    def f(self) -> str:
        return "# no comment\""""


def test_code_is_what_is_left_without_comments_and_docstrings() -> None:
    assert code_of(SOURCE) == CODE
    assert code_of(SOURCE.replace("# why", "# because\n# of this")) == CODE
    assert code_of(SOURCE.replace("size: int = 3", "size: int = 4")) != CODE


def test_code_after_a_multibyte_string_is_cut_at_the_right_place() -> None:
    assert (
        code_of('x = "\u00e9\u00e9"; """doc"""; y = 1  # \u00e9\n') == 'x = "\u00e9\u00e9"; ; y = 1'
    )


def test_source_digests_cover_both_packages_and_ignore_comments(tmp_path: Path) -> None:
    (tmp_path / "mila").mkdir()
    (tmp_path / "flows" / "deep").mkdir(parents=True)
    (tmp_path / "mila" / "a.py").write_text("x = 1\n")
    (tmp_path / "flows" / "deep" / "b.py").write_text("y = 1\n")
    before = source_digests(tmp_path, ("mila", "flows"))

    (tmp_path / "mila" / "a.py").write_text("x = 1  # one\n")
    commented = source_digests(tmp_path, ("mila", "flows"))
    (tmp_path / "flows" / "deep" / "b.py").write_text("y = 2\n")
    edited = source_digests(tmp_path, ("mila", "flows"))

    assert sorted(before) == ["flows/deep/b.py", "mila/a.py"]
    assert commented == before
    assert edited["flows/deep/b.py"] != before["flows/deep/b.py"]
    assert edited["mila/a.py"] == before["mila/a.py"]


def test_digest_of_a_folder_covers_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    one = digest_path(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    renamed = digest_path(tmp_path)

    assert one != renamed
    with pytest.raises(ValueError, match="expected a file or a folder"):
        digest_path(tmp_path / "none")


@pytest.mark.parametrize("name", ["../up", "", "-x", "a/b", "a b"])
def test_names_that_cannot_be_folders_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="run name"):
        checked_run_name(name)


def test_every_setting_of_the_training_sections_is_counted_or_marked() -> None:
    counted = identity(inputs={}).settings

    assert "data.root" in counted
    assert "train.joint.learning_rate" in counted
    assert "model.slow.widths" in counted
    assert "data.loader_workers" not in counted
    assert not any(path.startswith(("cluster", "tracking", "world")) for path in counted)
    assert Params().model.slow.widths == tuple(counted["model.slow.widths"])
