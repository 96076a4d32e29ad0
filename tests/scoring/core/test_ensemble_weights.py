"""Weights of an ensemble learnt from labels, and carried back into its settings."""

import numpy as np
import pytest

from scoring.core.scorers.contract import InvalidConfigError, RecordBatch
from scoring.core.scorers.ensemble_fit import fit_ensemble
from scoring.core.scorers.ensemble_v1 import EnsembleV1
from scoring.core.scorers.ensemble_weights import Judged, weigh_terms

SIGNALS = {"useful": {}, "noise": {}}


def batch(rng, n, shift=0.0, *, fingerprints=True):
    return RecordBatch(
        model="m",
        n=n,
        signals={"useful": rng.normal(shift, 1.0, n), "noise": rng.normal(0.0, 1.0, n)},
        fingerprints=rng.normal(size=(n, 6)).astype(np.float32) if fingerprints else None,
    )


def judged(rng, n, n_violations):
    """`useful` tells violations, `noise` and the fingerprint do not."""
    return [
        Judged(batch(rng, n, 0.0), np.zeros(n), rng.uniform(1.0, 5.0, n)),
        Judged(batch(rng, n_violations, 2.0), np.ones(n_violations), np.ones(n_violations)),
    ]


@pytest.fixture(scope="module")
def state():
    return fit_ensemble([batch(np.random.default_rng(1), 900)], config={"signals": SIGNALS})


def test_the_term_that_tells_violations_gets_the_weight(state):
    rng = np.random.default_rng(2)
    found = weigh_terms(state, judged(rng, 300, 60), rng=rng)
    assert found.names == ("alpha", "signal:noise", "signal:useful")
    assert found.proposal.adopted
    settings = found.settings
    weights = {
        "alpha": settings["alpha"],
        **{name: entry["weight"] for name, entry in settings["signals"].items()},
    }
    assert weights["useful"] > 2 * max(weights["noise"], weights["alpha"])
    assert sum(weights.values()) == pytest.approx(3.0)  # as large together as before
    refitted = fit_ensemble([batch(np.random.default_rng(1), 900)], config=settings)
    told = {part["name"]: part["weight"] for part in refitted.config["signals"]}
    assert told == {name: weights[name] for name in SIGNALS}
    assert refitted.config["models"][0]["detectors"][0]["weight"] == weights["alpha"]
    # the adopted weights rank unseen violations higher than the equal ones did
    fresh = judged(rng, 400, 80)
    tested = [area(EnsembleV1(made), fresh) for made in (state, refitted)]
    assert tested[1] > tested[0] + 0.05


def area(scorer, parts):
    """Share of (violation, other) pairs that raw puts in the right order."""
    other, violation = (scorer.score(part.batch).raw for part in parts)
    return np.mean(violation[:, None] > other[None, :])


def test_useless_labels_leave_the_weights_alone(state):
    rng = np.random.default_rng(3)
    labels = [Judged(batch(rng, 300), np.repeat([1.0, 0.0], [40, 260]), np.ones(300))]
    found = weigh_terms(state, labels, rng=rng)
    assert not found.proposal.adopted
    assert found.settings == state.config["settings"]


def test_too_few_labels_say_so(state):
    rng = np.random.default_rng(4)
    found = weigh_terms(state, judged(rng, 50, 3), rng=rng)
    assert not found.proposal.adopted
    assert "at least 10" in found.proposal.reason
    assert "at least 10" in weigh_terms(state, [], rng=rng).proposal.reason


def test_a_record_without_a_term_counts_as_usual_there(state):
    rng = np.random.default_rng(5)
    parts = judged(rng, 300, 60)
    bare = batch(rng, 60, 2.0, fingerprints=False)
    found = weigh_terms(state, [*parts, Judged(bare, np.ones(60), np.ones(60))], rng=rng)
    assert np.isfinite(found.proposal.weights).all()


def test_terms_times_weights_add_up_to_raw(state):
    scorer = EnsembleV1(state)
    rows = batch(np.random.default_rng(6), 50)
    terms = scorer.terms_of(rows)
    assert [term.name for term in scorer.terms] == ["noise", "useful", "mahalanobis"]
    assert scorer.score(rows).raw == pytest.approx(terms.mean(axis=1))


def test_another_kind_has_no_such_weights(state):
    broken = type(state)(config={**state.config, "kind": "percentile"}, arrays={})
    with pytest.raises(InvalidConfigError):
        weigh_terms(broken, [], rng=np.random.default_rng(0))
