"""What a backtest says of two versions that decide alike, apart, or on labels that taught them."""

import numpy as np
import pytest

from scoring.backtest_pages import part_of, share
from scoring.backtest_reports import MIN_EFFECTIVE, calibration_part, tier_part, verdict_of
from scoring.core.backtest import JudgedRecords, backtest

NAN = float("nan")
N = 130
NONE_JUDGED = "none is judged"


def told(candidate, previous, weight=None):
    """A whole report, as it is stored, over 130 records: 30 violations, 90 none, 10 unsure."""
    label = np.repeat([1.0, 0.0, NAN], [30, 90, 10])
    weight = np.ones(N) if weight is None else weight
    segments = {"plan": ["paid", "free"] * (N // 2)}
    records = JudgedRecords(label, weight, np.arange(float(N)), segments=segments)
    unknown = np.full(0, NAN)
    report = tier_part(backtest(records, candidate, previous), has_reference=True)
    report["calibration"] = calibration_part(
        unknown, unknown, unknown, unknown, why_none=NONE_JUDGED
    )
    report["calibration_gain"] = {}
    return {**report, "verdict": verdict_of(report, has_reference=True)}


def alarms(*rows):
    tier = np.zeros(N, np.int8)
    tier[np.r_[rows]] = 2
    return tier


def test_versions_that_decide_alike_say_so_and_tell_no_interval():
    # These weights made the page say 0 with 92.9 points to either side.
    weight = np.ones(N)
    weight[:2] = 300.0
    same = alarms(slice(0, 20), slice(30, 40))
    report = told(same, same, weight)
    why = "no record is decided differently: 130 compared, 120 with a label"
    for entry in (*report["tiers"], *report["segments"]):
        assert entry["n_different"] == 0
        for gain in (entry["recall_gain"], entry["precision_gain"]):
            assert gain["value"] is None
            assert "low" not in gain
    assert report["tiers"][1]["recall_gain"]["reason"] == why
    assert report["tiers"][1]["precision_gain"]["reason"] == why
    assert report["verdict"] == {
        "rule": "tier_gain_v1", "tier": 2, "says": "undecided", "reason": why,
    }  # fmt: skip
    assert part_of(report).same == (
        "No record is decided differently: both versions give the same tier to all 130 judged"
        " records compared here, 120 of them with a label and 30 of them violations."
    )


def test_one_tier_alike_is_not_all_alike():
    report = told(alarms(slice(0, 20)), alarms(slice(0, 20)) + (np.arange(N) < 5))
    assert [tier["n_different"] for tier in report["tiers"]] == [0, 0, 5, 0]
    assert part_of(report).same == ""
    assert report["tiers"][0]["recall_gain"]["reason"].startswith("no record is decided diff")


def test_only_what_nothing_speaks_for_is_null():
    """One more false alarm changes precision; no violation is decided differently."""
    report = told(alarms(slice(0, 20), 40), alarms(slice(0, 20)))
    at = report["tiers"][1]
    assert at["n_different"] == 1
    assert at["recall_gain"]["reason"] == "none of the 30 judged violations is decided differently"
    assert at["precision_gain"]["value"] == pytest.approx(20 / 21 - 1)
    assert at["precision_gain"]["low"] < at["precision_gain"]["value"] < 0.05
    unsure = told(alarms(slice(0, 20), 125), alarms(slice(0, 20)))["tiers"][1]
    assert unsure["precision_gain"]["reason"] == (
        "both raise the same 20 alarms among the records with a label"
    )
    silent = told(alarms(slice(0, 20)), np.zeros(N, np.int8))["tiers"][1]
    assert silent["precision_gain"]["reason"].startswith("one of the two raises no alarm")


def test_disjoint_alarms_have_real_intervals_and_a_verdict():
    report = told(alarms(slice(0, 30)), alarms(slice(30, 60)))
    at = report["tiers"][1]
    for gain in (at["recall_gain"], at["precision_gain"]):
        assert gain["value"] == 1.0
        assert 0.5 < gain["low"] < 0.95
        assert gain["high"] == 1.0
    assert report["verdict"]["says"] == "better"


def test_a_few_heavy_labels_decide_nothing_and_the_page_says_so():
    weight = np.where(np.arange(N) % 30 < 4, 1e6, 1.0)
    report = told(alarms(slice(0, 30)), alarms(slice(30, 60)), weight)
    at = report["tiers"][1]
    assert at["recall_gain"]["n_effective"] == pytest.approx(4, abs=0.01)
    cell = share(at["recall_gain"], signed=True)
    assert cell.reason == "counts for 4.0 records once weighted"
    assert at["precision_gain"]["n_effective"] < MIN_EFFECTIVE
    assert report["verdict"]["says"] == "undecided"
    assert report["verdict"]["reason"] == "weighted, the labels count for fewer than 10 records"


def test_without_labels_the_reason_is_the_callers():
    part = told(alarms(0), alarms(1))["calibration"]
    assert part["candidate"] == part["previous"] == {"value": None, "reason": NONE_JUDGED}
