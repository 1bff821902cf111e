import pytest

from pipeline.outputs import new_folder, refuse_other, write_text


def test_a_folder_appears_whole(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")

    with new_folder(out) as folder:
        (folder / "new").write_text("new")
        assert (out / "old").exists()

    assert [p.name for p in out.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_failure_leaves_what_was_there(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")

    def stopped() -> None:
        with new_folder(out) as folder:
            (folder / "new").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()

    assert [p.name for p in out.iterdir()] == ["old"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_what_a_killed_run_left_is_cleared(tmp_path):
    out = tmp_path / "deep" / "out"
    for name in (".out.partial", ".out.old"):
        (tmp_path / "deep" / name / "junk").mkdir(parents=True)

    with new_folder(out):
        pass

    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["out"]


def test_only_nothing_and_earlier_results_are_replaced(tmp_path):
    refuse_other(tmp_path / "none", "list")
    (tmp_path / "empty").mkdir()
    refuse_other(tmp_path / "empty", "list")
    (tmp_path / "result").mkdir()
    (tmp_path / "result/list").touch()
    refuse_other(tmp_path / "result", "list")

    for other in (tmp_path, tmp_path / "result/list"):
        with pytest.raises(ValueError, match="not empty and not an earlier result"):
            refuse_other(other, "list")


def test_text_is_replaced_at_once(tmp_path):
    path = tmp_path / "a" / "b.json"

    write_text(path, "one")
    write_text(path, "two")

    assert path.read_text() == "two"
    assert [p.name for p in path.parent.iterdir()] == ["b.json"]
