"""A folder of made-up pages: ILA and flow warp with three seeds, an option with one."""

from pathlib import Path

import pytest

from tests.pipeline.claims.made_pages import GRID, keep, page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "docs" / "street"
    target.mkdir(parents=True)
    for seed in (0, 1, 2):
        keep(target, page("ila", seed))
        keep(target, page("warp", seed, gain=-0.02))
    keep(target, page("ts", 0, gain=0.01, group="options"))
    (tmp_path / "street.yaml").write_text(GRID)
    return target
