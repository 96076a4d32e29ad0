"""Real answers of five models behind one endpoint: each swap is found, and nothing else."""

from datetime import datetime, timedelta

import pytest

from oversight.tenancy.actors import system_actor
from scoring.services import fitting, scorers
from tests.drifting import CHANGES, XSTEST, report, window_of, xstest_records

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not XSTEST.exists(), reason=f"the public records are not at {XSTEST}"),
]

STEP = 150


def test_each_swap_of_the_model_is_found_in_the_first_window_that_holds_it(project, api):
    """Two windows after a swap a scorer is fitted to what is normal now: the new reference."""
    records = list(xstest_records(0, 2250))
    alarmed, quiet = {}, []
    for start in range(0, 2250, STEP):
        window_of(api, project, records[start : start + STEP])
        for made in report(project):
            if made.n_alarms:
                alarmed[start] = made
            else:
                quiet.append(start)
        if start in (600, 1050, 1500):
            release_a_scorer_of(project, records[start - STEP : start + STEP])
    expected = [swap + late for swap in CHANGES for late in (0, STEP)]
    assert (sorted(alarmed), quiet) == (expected, [300, 750, 1200, 1650, 2100])
    for swap in CHANGES:
        whole = [alarm for alarm in alarmed[swap].alarms if alarm["segment"] is None]
        assert {"signal", "fingerprint"} <= {alarm["kind"] for alarm in whole}
        first = datetime.fromisoformat(records[swap]["occurred_at"]).timestamp()
        dated = min(alarm["since"]["at"] for alarm in whole)
        assert abs(dated - first) <= timedelta(minutes=15).total_seconds()
        for alarm in whole:
            assert "of endpoint 1" in alarm["sentence"]
            assert alarm["sentence"].endswith(
                f"after correction for {alarmed[swap].n_tests} tests."
            )


def release_a_scorer_of(project, records):
    actor = system_actor(project)
    since, until = (datetime.fromisoformat(r["occurred_at"]) for r in (records[0], records[-1]))
    version = fitting.fit(
        actor, since=since, until=until, kind="percentile", config={"minimum_records": 200}
    )
    scorers.release(actor, version=version)
