"""Rows and seeds of a grid, and the settings of each item."""

from pathlib import Path

import pytest

from flows.grid_plan import fingerprint, item_params, items_of, read_grid, start_params, trains
from mila.overrides import ROOT, load_params

STREET = ROOT / "params" / "grid" / "street.yaml"


@pytest.fixture(scope="module")
def grid():
    return read_grid(STREET)


def test_rows_come_before_seeds(grid) -> None:
    items = items_of(grid, ["ila", "copy"], [0, 2])
    assert [item.label for item in items] == ["ila-s0", "ila-s2", "copy-s0", "copy-s2"]
    assert [item.is_first_seed for item in items] == [True, False, True, False]


def test_no_names_mean_all_rows(grid) -> None:
    assert len(items_of(grid, [], [0, 1, 2])) == 3 * len(grid.rows)


@pytest.mark.parametrize("path", sorted(STREET.parent.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_row_of_every_grid_has_valid_settings(path: Path) -> None:
    grid, base = read_grid(path), load_params()
    marks = set()
    for item in items_of(grid, [], [0, 1]):
        params = item_params(grid, base, item)
        assert params.train.seed == item.seed
        assert params.evaluation.split == "test"
        if not item.row.alone and item.row.method == "mila":
            assert params.train.slow.updates == 0
        marks.add(fingerprint(params, {"data.root": "data"}))
    assert len(marks) == 2 * len(grid.rows)
    assert "ila" in grid.rows


def test_rows_differ_from_the_first_by_their_own_settings_alone(grid) -> None:
    base = load_params()
    first = item_params(grid, base, items_of(grid, ["ila"], [0])[0])
    for name in ("flow_warp", "lvs", "mf"):
        params = item_params(grid, base, items_of(grid, [name], [0])[0])
        propagation = first.model.propagation
        assert (
            params.model_copy(
                update={"model": params.model.model_copy(update={"propagation": propagation})}
            )
            == first
        )


def test_the_shared_networks_do_not_depend_on_the_row(grid) -> None:
    params = start_params(grid, load_params(), 2)
    assert (params.train.slow.updates, params.train.fast.updates) == (2800, 1000)
    assert params.train.joint.updates == 0
    assert params.train.seed == 2


def test_a_row_that_trains_nothing_is_recognised(grid) -> None:
    base = load_params()
    exact, ila = items_of(grid, ["exact_flow", "ila"], [0])
    assert not trains(item_params(grid, base, exact))
    assert trains(item_params(grid, base, ila))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rows: {a: {group: g}}", "rows.a.title: Field required"),
        ("rows: {a: {group: g, title: t, setings: {}}}", "rows.a.setings: Extra inputs"),
        ("rows: [", "not YAML"),
    ],
)
def test_bad_grid_files_are_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=sentence):
        read_grid(path)


def test_unknown_rows_and_seeds_are_refused(grid) -> None:
    with pytest.raises(ValueError, match=r"rows=ilaa: no such row; there are ila, concat"):
        items_of(grid, ["ilaa"], [0])
    with pytest.raises(ValueError, match="expected different whole numbers"):
        items_of(grid, ["ila"], [1, 1])
