"""A few seconds of `make test-chaos`, from fixed seeds."""

import pytest

from tests.chaos.run import is_clean, run

CONNECTS = 5000
BOUND_S = 120


@pytest.mark.parametrize("seed", [1, 2])
def test_nobody_notices_that_instances_come_and_go(seed):
    result = run(CONNECTS, seed, BOUND_S)
    assert is_clean(result), result
    assert result["redirects"] > 0, "or there was nothing to notice"
