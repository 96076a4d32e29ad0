"""Coefficients against the krippendorff package, oracles from the papers, and published figures."""

import csv
import gzip
import itertools
import json
import os
from pathlib import Path

import krippendorff
import numpy as np
import pytest

from scoring.core.agreement.coefficients import (
    cohen_kappa,
    credit_matrix,
    fleiss_kappa,
    gwet_ac,
    krippendorff_alpha,
    specific_agreement,
)

DATA = Path(
    os.environ.get(
        "OVERSIGHT_SHARED_DATA", Path(__file__).resolve().parents[3].parent / "shared" / "data"
    )
)
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data folder is absent")

_ = np.nan
# Krippendorff (2011), the 4 x 12 table of observers by units.
CANONICAL = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
        [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
    ]
).T
RATERS, UNITS = 5, 40


def random_table(seed, n_categories=4, missing=0.3):
    rng = np.random.default_rng(seed)
    truth = rng.integers(1, n_categories + 1, UNITS)
    table = np.where(
        rng.random((UNITS, RATERS)) < 0.6,
        truth[:, None],
        rng.integers(1, n_categories + 1, (UNITS, RATERS)),
    ).astype(float)
    table[rng.random((UNITS, RATERS)) < missing] = np.nan
    return table


@pytest.mark.parametrize(
    ("scale", "published"),
    [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)],
)
def test_alpha_of_the_canonical_table(scale, published):
    assert krippendorff_alpha(CANONICAL, scale=scale).value == pytest.approx(published, abs=5e-4)


@pytest.mark.parametrize("scale", ["nominal", "ordinal", "interval", "ratio"])
@pytest.mark.parametrize("seed", range(4))
def test_alpha_is_the_package(scale, seed):
    table = random_table(seed)
    expected = krippendorff.alpha(table.T, level_of_measurement=scale)
    assert krippendorff_alpha(table, scale=scale).value == pytest.approx(expected, abs=1e-9)


def naive_ac1_and_fleiss(table, categories):
    """Gwet (2014), over units in loops: AC1 and the generalised Fleiss kappa."""
    agree, shares, n_pairs = 0.0, dict.fromkeys(categories, 0.0), 0
    rows = [row[~np.isnan(row)].tolist() for row in table]
    rows = [row for row in rows if row]
    for row in rows:
        for category in categories:
            shares[category] += row.count(category) / len(row) / len(rows)
        if len(row) >= 2:
            pairs = list(itertools.permutations(row, 2))
            agree += sum(a == b for a, b in pairs) / len(pairs)
            n_pairs += 1
    observed = agree / n_pairs
    gwet = sum(p * (1 - p) for p in shares.values()) / (len(categories) - 1)
    fleiss = sum(p * p for p in shares.values())
    return (observed - gwet) / (1 - gwet), (observed - fleiss) / (1 - fleiss)


@pytest.mark.parametrize("seed", range(4))
def test_ac1_and_fleiss_written_out(seed):
    table = random_table(seed)
    ac1, fleiss = naive_ac1_and_fleiss(table, [1.0, 2.0, 3.0, 4.0])
    assert gwet_ac(table).value == pytest.approx(ac1, abs=1e-12)
    assert fleiss_kappa(table).value == pytest.approx(fleiss, abs=1e-12)


def test_ac1_and_fleiss_of_the_canonical_table():
    """irrCAC's figures."""
    assert gwet_ac(CANONICAL).value == pytest.approx(0.775, abs=5e-4)
    assert fleiss_kappa(CANONICAL).value == pytest.approx(0.761, abs=5e-4)


def test_fleiss_example_of_1971():
    """Ten subjects, fourteen raters, five categories: kappa .21 (the well-known worked table)."""
    counts = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    table = [np.repeat(np.arange(5.0), row) for row in counts]
    assert fleiss_kappa(table).value == pytest.approx(0.210, abs=5e-4)


def test_cohen_by_hand():
    """Joint table [[20, 5], [10, 15]]: p_o = .7, p_e = .5, κ = .4."""
    first = np.repeat([1.0, 1.0, 0.0, 0.0], [20, 5, 10, 15])
    second = np.repeat([1.0, 0.0, 1.0, 0.0], [20, 5, 10, 15])
    result = cohen_kappa(first, second)
    assert (result.observed, result.expected, result.value) == pytest.approx((0.7, 0.5, 0.4))


def naive_weighted_kappa(first, second, credits):
    observed = np.mean([credits[int(a), int(b)] for a, b in zip(first, second, strict=True)])
    expected = np.mean([credits[int(a), int(b)] for a in first for b in second])
    return (observed - expected) / (1 - expected)


@pytest.mark.parametrize("credit", ["nominal", "ordinal", "linear", "quadratic"])
def test_weighted_kappa_over_all_pairs(credit):
    rng = np.random.default_rng(1)
    first = rng.integers(0, 4, 60)
    second = np.clip(first + rng.integers(-1, 2, 60), 0, 3)
    credits = credit_matrix(4, credit)
    expected = naive_weighted_kappa(first, second, credits)
    assert cohen_kappa(first, second, credit=credit).value == pytest.approx(expected, abs=1e-12)


def test_credit_matrices():
    assert credit_matrix(3, "linear")[0].tolist() == [1, 0.5, 0]
    assert credit_matrix(3, "quadratic")[0].tolist() == [1, 0.75, 0]
    assert credit_matrix(4, "ordinal")[0] == pytest.approx([1, 5 / 6, 1 / 2, 0])
    with pytest.raises(ValueError, match="credit"):
        credit_matrix(3, "cubic")


def test_rare_answers_break_kappa_and_not_ac1():
    """Two raters of 95 % accuracy at 1 % prevalence (METHODS §4): kappa .14, AC1 above .8."""
    cells = {
        (1.0, 1.0): 0.01 * 0.95**2 + 0.99 * 0.05**2,
        (1.0, 0.0): 0.05 * 0.95,
        (0.0, 1.0): 0.05 * 0.95,
        (0.0, 0.0): 0.01 * 0.05**2 + 0.99 * 0.95**2,
    }
    table, weights = np.array(list(cells)), np.array(list(cells.values()))
    kappa = cohen_kappa(table[:, 0], table[:, 1], weights=weights)
    assert kappa.value == pytest.approx(0.14, abs=0.005)
    assert 0.81 <= gwet_ac(table, weights=weights).value <= 0.9
    positive, negative = (specific_agreement(table, c, weights=weights).value for c in (1, 0))
    assert positive == pytest.approx(cells[1.0, 1.0] / (cells[1.0, 1.0] + 0.05 * 0.95))
    assert negative > 0.94


def every_coefficient(table, **options):
    first, second = np.asarray(table)[:, 0], np.asarray(table)[:, 1]
    return [
        krippendorff_alpha(table, scale="nominal", **options),
        krippendorff_alpha(table, scale="interval", **options),
        fleiss_kappa(table, **options),
        gwet_ac(table, **options),
        gwet_ac(table, credit="quadratic", **options),
        cohen_kappa(first, second, **options),
        specific_agreement(table, 1.0, **options),
    ]


def test_order_of_units_does_not_matter_and_equal_weights_are_none():
    table = random_table(9)
    shuffled = table[np.random.default_rng(0).permutation(UNITS)]
    for was, now, weighted in zip(
        every_coefficient(table),
        every_coefficient(shuffled),
        every_coefficient(table, weights=np.full(UNITS, 7.0)),
        strict=True,
    ):
        assert now.value == pytest.approx(was.value, abs=1e-12)
        assert weighted.value == pytest.approx(was.value, abs=1e-12)


def test_a_unit_of_weight_zero_is_absent():
    table = random_table(9)
    weights = np.ones(UNITS)
    weights[:10] = 0.0
    for weighted, without in zip(
        every_coefficient(table, weights=weights)[2:],
        every_coefficient(table[10:])[2:],
        strict=True,
    ):
        assert weighted.value == pytest.approx(without.value, abs=1e-12)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (np.empty((0, 2)), "judged by two"),
        ([[1.0, _], [_, 0.0]], "judged by two"),
        ([[1.0, 1.0], [1.0, 1.0]], "same answer"),
    ],
)
def test_undefined_is_null_with_a_reason(table, reason):
    for result in every_coefficient(table)[:-1]:
        assert result.value is None
        assert reason in result.reason
    nobody = specific_agreement(table, 3.0)
    assert nobody.value is None
    assert nobody.reason


def test_perfect_and_opposite_agreement():
    perfect, opposite = [[0.0, 0.0], [1.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]
    assert [result.value for result in every_coefficient(perfect)] == pytest.approx([1.0] * 7)
    assert cohen_kappa(*np.transpose(opposite)).value == pytest.approx(-1.0)
    assert specific_agreement(opposite, 1.0).value == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: krippendorff_alpha([1.0, 2.0]), "table"),
        (lambda: krippendorff_alpha([[1.0, 2.0]], weights=[-1.0]), "weights"),
        (lambda: krippendorff_alpha([[1.0, 2.0]], scale="log"), "scale"),
        (lambda: krippendorff_alpha([[-1.0, 2.0]], scale="ratio"), "ratio"),
        (lambda: gwet_ac([[1.0, 2.0]], categories=[1.0]), "categories"),
    ],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_unused_categories_matter_to_ac1():
    table = random_table(2, n_categories=3)
    assert gwet_ac(table, categories=range(1, 7)).value > gwet_ac(table).value


@needs_data
def test_pandalm_judges():
    with gzip.open(DATA / "pandalm" / "testset-v1.json.gz", "rt") as file:
        rows = json.load(file)
    table = np.array([[row[f"annotator{k}"] for k in (1, 2, 3)] for row in rows], dtype=float)
    kappas = [cohen_kappa(table[:, a], table[:, b]).value for a, b in ((0, 1), (0, 2), (1, 2))]
    assert kappas == pytest.approx([0.852, 0.879, 0.862], abs=5e-4)


@needs_data
def test_xstest_annotators():
    with gzip.open(DATA / "xstest" / "xstest_completions.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    kappas = {}
    for model in {row["model"] for row in rows}:
        pairs = np.array(
            [
                [float(row["annotation_1"][0]), float(row["annotation_2"][0])]
                for row in rows
                if row["model"] == model
            ]
        )
        kappas[model] = round(cohen_kappa(*pairs.T).value, 3)
    assert kappas == {
        "gpt4": 0.970,
        "llama2new": 0.926,
        "llama2orig": 0.929,
        "mistralguard": 0.892,
        "mistralinstruct": 0.920,
    }


@needs_data
def test_xsum_workers():
    path = DATA / "xsum_hallucination" / "factuality_annotations_xsum_summaries.csv.gz"
    answers = {}
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            value = {"yes": 1.0, "no": 0.0}.get(row["is_factual"])
            if value is not None:
                answers.setdefault((row["bbcid"], row["system"]), []).append(value)
    complete = [row for row in answers.values() if len(row) == 3]
    assert len(complete) == 1848
    assert fleiss_kappa(complete).value == pytest.approx(0.7744, abs=5e-5)
