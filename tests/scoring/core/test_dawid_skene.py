"""Dawid-Skene against its own loops, the anaesthetists of 1979, and planted reviewers."""

import csv
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from scoring.core.agreement.dawid_skene import UNKNOWN, confusion_prior, fit_dawid_skene
from scoring.core.agreement.gold import BetaPosterior, gold_accuracy

DATA = Path(
    os.environ.get(
        "OVERSIGHT_SHARED_DATA", Path(__file__).resolve().parents[3].parent / "shared" / "data"
    )
)


def naive_em(votes, n_items, n_raters, n_classes, prior, n_iterations):
    """Dawid, Skene (1979), equations 2.3-2.5 in plain probabilities and loops."""
    posterior = np.zeros((n_items, n_classes))
    for item, _, label in votes:
        posterior[item, label] += 1
    posterior /= posterior.sum(axis=1, keepdims=True)
    for _ in range(n_iterations):
        prevalence = posterior.mean(axis=0)
        confusion = np.tile(prior, (n_raters, 1, 1))
        for item, rater, label in votes:
            confusion[rater, :, label] += posterior[item]
        confusion /= confusion.sum(axis=2, keepdims=True)
        posterior = np.tile(prevalence, (n_items, 1))
        for item, rater, label in votes:
            posterior[item] *= confusion[rater, :, label]
        posterior /= posterior.sum(axis=1, keepdims=True)
    return posterior


def planted(seed, *, n_items=400, n_raters=8, overlap=4, prevalence=0.3, n_bad=2):
    """Votes of honest reviewers (85-95 %) and some who answer at random."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(n_items) < prevalence).astype(int)
    accuracy = rng.uniform(0.85, 0.95, n_raters)
    accuracy[:n_bad] = 0.5
    items = np.repeat(np.arange(n_items), overlap)
    raters = np.concatenate([rng.choice(n_raters, overlap, replace=False) for _ in range(n_items)])
    right = rng.random(items.size) < accuracy[raters]
    return truth, accuracy, items, raters, np.where(right, truth[items], 1 - truth[items])


def test_agrees_with_the_loops():
    rng = np.random.default_rng(0)
    items, raters = np.repeat(np.arange(30), 3), rng.integers(0, 4, 90)
    labels = rng.integers(0, 3, 90)
    prior = confusion_prior(3)
    fit = fit_dawid_skene(
        items, raters, labels, n_items=30, n_raters=4, n_classes=3, max_iterations=12, tolerance=0.0
    )
    votes = list(zip(items, raters, labels, strict=True))
    np.testing.assert_allclose(fit.posterior, naive_em(votes, 30, 4, 3, prior, 12), atol=1e-12)


@pytest.mark.skipif(
    not (DATA / "dawid_skene_1979").is_dir(), reason="the shared data folder is absent"
)
def test_the_anaesthetists():
    folder = DATA / "dawid_skene_1979"
    with (folder / "anesthesia.csv").open() as file:
        rows = list(csv.DictReader(file))
    reference = json.loads((folder / "em_reference.json").read_text())
    columns = [np.array([int(row[name]) for row in rows]) - 1
               for name in ("patient", "observer", "rating")]  # fmt: skip
    fit = fit_dawid_skene(
        *columns, n_items=45, n_raters=5, n_classes=4, prior=np.zeros((4, 4)), tolerance=1e-13
    )
    assert fit.prevalence == pytest.approx(reference["class_marginals"], abs=1e-6)
    assert fit.log_likelihood == pytest.approx(reference["log_likelihood"], abs=1e-6)
    np.testing.assert_allclose(fit.confusion, reference["error_rates"], atol=1e-6)
    assert (fit.posterior.argmax(axis=1) + 1).tolist() == reference["map_class"]
    assert fit.prevalence == pytest.approx([0.3996, 0.4220, 0.1118, 0.0667], abs=5e-5)


def test_finds_the_careless_and_beats_the_majority():
    truth, _, items, raters, labels = planted(3)
    fit = fit_dawid_skene(items, raters, labels, n_items=400, n_raters=8, n_classes=2)
    assert fit.converged
    diagonal = fit.confusion[:, [0, 1], [0, 1]].mean(axis=1)
    assert set(np.argsort(diagonal)[:2]) == {0, 1}
    votes = np.bincount(items, weights=labels, minlength=400) / 4
    majority = np.where(votes == 0.5, np.arange(400) % 2, votes > 0.5)
    ours = fit.posterior.argmax(axis=1)
    assert (ours == truth).mean() > (majority == truth).mean() + 0.03


def test_credible_intervals_cover_planted_accuracy():
    covered = []
    for seed in range(12):
        _, accuracy, items, raters, labels = planted(seed, overlap=5, n_bad=1)
        fit = fit_dawid_skene(items, raters, labels, n_items=400, n_raters=8, n_classes=2)
        low, high = fit.confusion_interval()
        for k in (0, 1):
            covered += ((low[:, k, k] <= accuracy) & (accuracy <= high[:, k, k])).tolist()
    assert np.mean(covered) >= 0.88  # the items' classes count as known: a little narrow


def test_gold_turns_a_crowd_that_is_mostly_wrong():
    """Every reviewer of the majority answers upside down; gold alone can tell."""
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 2, 200)
    items, raters = np.repeat(np.arange(200), 3), np.tile(np.arange(3), 200)
    labels = np.where(raters < 2, 1 - truth[items], truth[items])
    arguments = {"n_items": 200, "n_raters": 3, "n_classes": 2}
    gold = np.where(np.arange(200) < 20, truth, UNKNOWN)
    fooled = fit_dawid_skene(items, raters, labels, **arguments)
    seeded = fit_dawid_skene(items, raters, labels, gold=gold, **arguments)
    assert (fooled.posterior.argmax(axis=1) == truth).mean() < 0.1
    assert (seeded.posterior[20:].argmax(axis=1) == truth[20:]).all()
    assert (seeded.confusion[:2, [0, 1], [0, 1]] < 0.2).all()


def test_gold_does_not_count_for_the_prevalence():
    items, raters, labels = [0, 1, 2, 3], [0, 0, 0, 0], [1, 1, 0, 0]
    gold = [1, 1, UNKNOWN, UNKNOWN]
    fit = fit_dawid_skene(items, raters, labels, n_items=4, n_raters=1, n_classes=2, gold=gold)
    assert fit.prevalence[1] < 0.1
    only = fit_dawid_skene([0], [0], [1], n_items=1, n_raters=1, n_classes=2, gold=[1])
    assert only.prevalence.tolist() == [0.0, 1.0]


def test_silent_items_and_reviewers_stay_defined():
    fit = fit_dawid_skene(
        [0, 0], [0, 1], [1, 1], n_items=3, n_raters=4, n_classes=2, prior=np.zeros((2, 2))
    )
    np.testing.assert_allclose(fit.posterior[1:], np.tile(fit.prevalence, (2, 1)))
    np.testing.assert_allclose(fit.confusion[3], 0.5)
    nothing = fit_dawid_skene([], [], [], n_items=2, n_raters=1, n_classes=3)
    np.testing.assert_allclose(nothing.posterior, 1 / 3)
    assert np.isfinite(nothing.log_likelihood)


def test_hundreds_of_votes_on_one_item_do_not_underflow():
    n = 3000
    fit = fit_dawid_skene(
        np.zeros(n, int), np.arange(n), np.arange(n) % 3 == 0, n_items=1, n_raters=n, n_classes=2
    )
    assert np.isfinite(fit.log_likelihood)
    assert fit.posterior[0, 0] == pytest.approx(1.0)


def test_renaming_classes_renames_the_answer():
    _, _, items, raters, labels = planted(1, n_items=60)
    sizes = {"n_items": 60, "n_raters": 8, "n_classes": 2}
    was, now = (fit_dawid_skene(items, raters, said, **sizes) for said in (labels, 1 - labels))
    np.testing.assert_allclose(now.posterior, was.posterior[:, ::-1], atol=1e-9)
    np.testing.assert_allclose(now.confusion, was.confusion[:, ::-1, ::-1], atol=1e-9)


@pytest.mark.parametrize(
    "changes",
    [
        {"items": [0, 2]},
        {"raters": [0, 1]},
        {"labels": [0, -1]},
        {"labels": [0]},
        {"gold": [0]},
        {"gold": [0, 2]},
        {"prior": -np.ones((2, 2))},
    ],
)
def test_wrong_votes_are_refused(changes):
    arguments = {"items": [0, 1], "raters": [0, 0], "labels": [0, 1]} | changes
    with pytest.raises(ValueError, match=r"vote|length|gold|priors"):
        fit_dawid_skene(**arguments, n_items=2, n_raters=1, n_classes=2)


@pytest.mark.parametrize(("n", "published"), [(20, (0.72, 0.98)), (50, (0.80, 0.96)),
                                              (100, (0.83, 0.95))])  # fmt: skip
def test_gold_intervals_of_the_methods(n, published):
    hits = round(0.9 * n)
    assert BetaPosterior(hits, n - hits).interval() == pytest.approx(published, abs=0.01)


def test_gold_keeps_sensitivity_and_specificity_apart():
    answers = [1, 1, 0, 0, 0, 0, 1, math.nan]
    truth = [1, 1, 1, 0, 0, 0, 0, 1]
    accuracy = gold_accuracy(answers, truth)
    assert (accuracy.sensitivity.hits, accuracy.sensitivity.misses) == (2, 1)
    assert (accuracy.specificity.hits, accuracy.specificity.misses) == (3, 1)
    assert not accuracy.passes()
    assert gold_accuracy(np.ones(40), np.ones(40)).passes()
    with pytest.raises(ValueError, match="truth"):
        gold_accuracy([1.0], [0.5])
    with pytest.raises(ValueError, match="answers"):
        gold_accuracy([0.5], [1.0])
    with pytest.raises(ValueError, match="negative"):
        BetaPosterior(-1, 0)
