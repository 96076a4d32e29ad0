import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import logsumexp

from scoring.core.log_sum import ExactLogSum

log_terms = hnp.arrays(float, st.integers(1, 60), elements=st.floats(-1e4, 1e4))


def total(*chunks):
    log_sum = ExactLogSum()
    for chunk in chunks:
        log_sum.add(np.asarray(chunk, dtype=float))
    return log_sum.value()


@settings(max_examples=200, deadline=None)
@given(terms=log_terms)
def test_agrees_with_scipy(terms):
    assert total(terms) == pytest.approx(logsumexp(terms), rel=1e-13, abs=1e-13)


@settings(max_examples=100, deadline=None)
@given(terms=log_terms, seed=st.integers(0, 2**32 - 1), cut=st.integers(0, 60))
def test_order_and_chunks_leave_no_trace(terms, seed, cut):
    shuffled = np.random.default_rng(seed).permutation(terms)
    assert total(shuffled[:cut], shuffled[cut:]) == total(terms)


def test_bits_survive_where_plain_addition_loses_them():
    terms = np.random.default_rng(3).normal(0.0, 8.0, 200_000)
    chunks = np.array_split(np.sort(terms), 13)
    assert total(*chunks) == total(terms[::-1])


def test_empty_sum_and_unusable_terms():
    assert total() == -math.inf
    assert total([]) == -math.inf
    for bad in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match="finite"):
            total([0.0, bad])
