"""Shared by the tests of data sets: their trees by name."""

import pytest


@pytest.fixture
def tree(request):
    """The tree of a data set by its name."""
    return lambda name: request.getfixturevalue(f"{name}_tree")
