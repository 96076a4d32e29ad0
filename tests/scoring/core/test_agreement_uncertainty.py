"""Limits of agreement: coverage by simulation, and the cases without any."""

import numpy as np
import pytest

from scoring.core.agreement.coefficients import cohen_kappa, gwet_ac, krippendorff_alpha
from scoring.core.agreement.uncertainty import agreement_interval


def two_raters(rng, n, prevalence=0.3, accuracy=0.85):
    truth = rng.random(n) < prevalence
    right = rng.random((n, 2)) < accuracy
    return np.where(right, truth[:, None], ~truth[:, None]).astype(float)


def limits(table, rng, **options):
    return agreement_interval(
        lambda w: krippendorff_alpha(table, weights=w), len(table), rng=rng, **options
    )


def test_limits_cover_the_coefficient_of_the_population():
    rng = np.random.default_rng(0)
    truth = krippendorff_alpha(two_raters(rng, 200_000)).value
    found = [limits(two_raters(rng, 150), rng, n_draws=100) for _ in range(60)]
    covered = np.mean([low <= truth <= high for low, high in found])
    assert covered >= 0.87


def test_more_cases_narrow_and_the_seed_repeats():
    rng = np.random.default_rng(1)
    small, large = two_raters(rng, 60), two_raters(rng, 2000)
    narrow, wide = (limits(table, np.random.default_rng(2)) for table in (large, small))
    assert narrow[1] - narrow[0] < 0.5 * (wide[1] - wide[0])
    assert narrow == limits(large, np.random.default_rng(2))


@pytest.mark.parametrize("coefficient", [gwet_ac, krippendorff_alpha])
def test_undefined_agreement_has_no_limits(coefficient):
    table = np.ones((20, 2))
    interval = agreement_interval(
        lambda w: coefficient(table, weights=w), 20, rng=np.random.default_rng(0)
    )
    assert interval is None


def test_given_weights_move_the_limits_with_the_value():
    """A few heavy cases on which the raters disagree."""
    table = np.array([[1.0, 1.0], [0.0, 0.0]] * 40 + [[1.0, 0.0]] * 10)
    weights = np.r_[np.ones(80), np.full(10, 8.0)]
    rng = np.random.default_rng(0)

    def kappa(w):
        return cohen_kappa(table[:, 0], table[:, 1], weights=w)

    plain = agreement_interval(kappa, 90, rng=rng)
    weighted = agreement_interval(kappa, 90, rng=rng, weights=weights)
    assert weighted[0] <= kappa(weights).value <= weighted[1] < plain[0]
    with pytest.raises(ValueError, match="per unit"):
        agreement_interval(kappa, 90, rng=rng, weights=np.ones(3))
