"""PSI by its definition, and its false-alarm rate."""

import numpy as np
import pytest

from scoring.core.drift.contract import DriftError
from scoring.core.drift.population_stability import population_stability, stability_of_counts


def test_index_of_counts_by_hand():
    found = stability_of_counts(np.array([10, 30, 0]), np.array([25, 15, 0]))
    r, w = np.array([10.5, 30.5]) / 41, np.array([25.5, 15.5]) / 41
    assert found.psi == pytest.approx(sum((w - r) * np.log(w / r)))
    assert found.n_bins == 2


@pytest.mark.parametrize(("n", "m"), [(100, 100), (1000, 300)])
def test_false_alarms_stay_near_alpha_where_the_rule_of_thumb_does_not(n, m):
    rng = np.random.default_rng(1)
    found = [population_stability(rng.normal(size=n), rng.normal(size=m)) for _ in range(600)]
    assert np.mean([index.p <= 0.05 for index in found]) <= 0.08
    if n == 100:
        assert np.mean([index.psi > 0.1 for index in found]) > 0.5


def test_a_shift_is_found_and_ties_are_fine():
    rng = np.random.default_rng(2)
    assert population_stability(rng.normal(size=400), rng.normal(0.5, 1, size=400)).p < 1e-3
    assert population_stability(np.zeros(50), np.zeros(60)).p == 1.0
    with pytest.raises(DriftError):
        population_stability(np.zeros(0), np.zeros(3))
    with pytest.raises(DriftError):
        population_stability(np.array([np.nan]), np.zeros(3))
