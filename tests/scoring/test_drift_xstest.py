"""Real answers of five models behind one endpoint: each swap is found, and nothing else."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from oversight.tenancy.actors import system_actor
from scoring.services import fitting, scorers
from tests.drifting import CHANGES, XSTEST, report, window_of, xstest_records

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not XSTEST.exists(), reason=f"the public records are not at {XSTEST}"),
]

STEP = 150


def test_each_swap_of_the_model_is_found_in_its_first_window_and_nothing_before_it(project, api):
    """Two windows after a swap a scorer is fitted to what is normal now: the new reference.

    Windows of 150 answers a day apart, so at a level of 1/30. An hour apart (1/720) the swap
    between the two Llama variants, which differ least, is found one to three windows late.
    """
    records = list(xstest_records(0, 2250))
    alarmed, quiet = {}, []
    for start in range(0, 2250, STEP):
        window_of(api, project, records[start : start + STEP], hours=24)
        for made in report(project):
            if made.n_alarms:
                alarmed[start] = made
            else:
                quiet.append(start)
        if start in (600, 1050, 1500):
            release_a_scorer_of(project, records[start - STEP : start + STEP])
    assert {300, 750, 1200, 1650} <= set(quiet)  # the windows that are like their reference
    for swap in CHANGES:
        found = min(start for start in alarmed if start >= swap)
        assert found == swap
        whole = [alarm for alarm in alarmed[found].alarms if alarm["segment"] is None]
        kinds = {alarm["kind"] for alarm in whole}
        assert "signal" in kinds
        assert kinds & {"fingerprint", "distance"}
        window = datetime.fromisoformat(records[found]["occurred_at"]).timestamp()
        dated = min(alarm["since"]["at"] for alarm in whole)
        assert abs(dated - window) <= timedelta(minutes=15).total_seconds()
        for alarm in whole:
            assert " of endpoint 1 " in alarm["sentence"]
            n_tests = alarmed[found].n_tests
            assert alarm["sentence"].endswith(f"after correction for {n_tests} tests.")


def test_shuffled_answers_raise_no_more_alarms_than_the_level_allows(project, api):
    order = np.random.default_rng(11).permutation(2250)
    records = list(xstest_records(0, 2250, order=order))
    levels, n_alarmed = [], 0
    for start in range(0, 2250, STEP):
        window_of(api, project, records[start : start + STEP], hours=36)
        for made in report(project):
            levels.append(made.level)
            n_alarmed += made.n_alarms > 0
    assert len(levels) == 13
    assert levels[1:] == [0.05] * 12
    assert n_alarmed <= 3  # of 13 at 5 %: more happens by chance in 3 of 1,000 runs


def release_a_scorer_of(project, records):
    actor = system_actor(project)
    since, until = (datetime.fromisoformat(r["occurred_at"]) for r in (records[0], records[-1]))
    version = fitting.fit(
        actor, since=since, until=until, kind="percentile", config={"minimum_records": 200}
    )
    scorers.release(actor, version=version)
