"""Error-corrected figures: reviewers' errors from overlap, found again where they were put in."""

import numpy as np
import pytest

from review.estimates import ask, figures, reviewers
from review.services import claims, rounds, verdicts
from scoring.core.agreement.dawid_skene import UNKNOWN
from tests.factories import make_member
from tests.judging import conclude

SENSITIVITY, SPECIFICITY = 0.85, 0.95


def votes_of(rng, n_cases, prevalence, n_reviewers=4, per_case=2):
    truth = rng.random(n_cases) < prevalence
    rows = []
    for case in range(n_cases):
        for who in rng.choice(n_reviewers, per_case, replace=False):
            right = rng.random() < (SENSITIVITY if truth[case] else SPECIFICITY)
            rows.append((case, who, truth[case] if right else not truth[case]))
    columns = np.array(rows, dtype=np.int64).T
    return reviewers._Votes(
        cases=columns[0],
        reviewers=columns[1],
        labels=columns[2],
        truth=np.full(n_cases, UNKNOWN),
        n_reviewers=n_reviewers,
    )


def test_errors_put_in_are_found_within_their_limits():
    covered = []
    for seed in range(8):
        votes = votes_of(np.random.default_rng(seed), 300, 0.3, per_case=3)
        found = reviewers._accuracy(votes)
        for posterior, true in (
            (found.sensitivity, SENSITIVITY),
            (found.specificity, SPECIFICITY),
        ):
            low, high = posterior.interval()
            covered.append(low <= true <= high)
            assert high - low < 0.25
    assert np.mean(covered) >= 0.85  # 16 intervals at 95 %


def test_no_correction_is_worth_more_than_its_answers():
    posterior = reviewers._beta(0.9, 1e-12, 50.0)
    assert posterior.hits + posterior.misses <= 50.0
    assert posterior.mean == pytest.approx(0.9, abs=0.02)
    assert reviewers._beta(0.9, 0.0, 50.0) == posterior


@pytest.mark.django_db(transaction=True)
def test_a_raw_rate_of_fallible_reviewers_is_corrected(project, owner, queue, send):
    """100 records, three people in pairs who err; a third of the records violate in truth."""
    send(100)
    queue.overlap, queue.evaluation_budget = 2, 100
    queue.save()
    rounds.run(owner, queue=queue, budget=100)
    rng = np.random.default_rng(7)
    people = [make_member(project) for _ in range(3)]
    idle = 0
    while idle < 3:
        actor = people[0]
        people = [*people[1:], actor]
        claim = claims.claim_next(actor, queue=queue)
        idle = idle + 1 if claim is None else 0
        if claim is None:
            continue
        true = int(claim.case.evidence.external_id.rpartition("-")[2]) % 3 == 0
        right = rng.random() < (SENSITIVITY if true else SPECIFICITY)
        verdicts.submit(
            actor,
            case_id=claim.case.pk,
            claim_token=claim.token,
            answers={"violation": true if right else not true},
        )
    told = figures.as_answer(figures.figure(ask.parse(queue, {"metric": "prevalence"})))
    # The third person settled every pair that disagreed, once they had answered anything.
    assert told["unresolved"] <= 1
    corrected = told["corrected"]
    assert corrected["reason"] is None
    assert corrected["low"] < corrected["value"] < corrected["high"]
    # Within 1.4 widths of the interval: 5.5 standard errors, whoever drew which case.
    width = corrected["high"] - corrected["low"]
    assert width < 0.6
    assert abs(corrected["value"] - 34 / 100) < 1.4 * width
    for name, true in (("sensitivity", SENSITIVITY), ("specificity", SPECIFICITY)):
        width = corrected[name]["high"] - corrected[name]["low"]
        assert width < 0.5, name
        assert abs(corrected[name]["value"] - true) < 1.4 * width, name
    recall = figures.figure(ask.parse(queue, {"metric": "recall", "at": "tier:0"}))
    assert "can be corrected" in recall.corrected.reason


@pytest.mark.django_db(transaction=True)
def test_without_overlap_it_says_what_is_needed(owner, queue, send):
    send(40)
    rounds.run(owner, queue=queue, budget=10)
    conclude(queue, lambda one: True)
    told = figures.figure(ask.parse(queue, {"metric": "prevalence"})).corrected
    assert (told.value, told.reason) == (None, reviewers.NOT_ENOUGH)
