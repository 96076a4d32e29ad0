import pytest

from scoring.core.information_gain import gain_strategy
from scoring.core.queue_profiles import DISCOVER, MEASURE, PROFILES, round_budget


def test_measuring_leans_more_on_the_floor_and_spreads_wider():
    assert DISCOVER.floor < MEASURE.floor < 1.0
    assert 1.0 <= DISCOVER.size_in_budgets < MEASURE.size_in_budgets
    assert MEASURE.census
    for profile in PROFILES:
        assert gain_strategy(profile.strategy).name == profile.strategy


@pytest.mark.parametrize(("n", "budget"), [(0, 5), (109, 5), (999, 9), (2999, 29), (10**6, 30)])
def test_a_round_takes_a_hundredth_within_limits(n, budget):
    assert round_budget(n) == budget
