"""Real answers of five models behind one endpoint: each swap is found, and nothing else."""

from datetime import datetime

import pytest

from oversight.tenancy.actors import system_actor
from scoring.services import fitting, scorers
from tests.drifting import CHANGES, XSTEST, report, window_of, xstest_records

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not XSTEST.exists(), reason=f"the public records are not at {XSTEST}"),
]

STEP = 150


def test_each_swap_of_the_model_is_found_in_the_window_that_begins_with_it(project, api):
    """After each find a scorer is fitted to what is normal now, and that becomes the reference."""
    found, quiet = [], []
    records = list(xstest_records(0, 2250))
    for start in range(0, 2250, STEP):
        window_of(api, project, records[start : start + STEP])
        for made in report(project):
            assert made.n_compared == STEP
            if not made.n_alarms:
                quiet.append(start)
                continue
            found.append(start)
            print(start, made.level, made.n_tests)
            for alarm in made.alarms:
                print("   ", alarm["sentence"])
        if start % 450 == 150 and start > 450:
            release_a_scorer_of(project, records[start - STEP : start + STEP])
    assert found == list(CHANGES), quiet


def release_a_scorer_of(project, records):
    actor = system_actor(project)
    since, until = (datetime.fromisoformat(r["occurred_at"]) for r in (records[0], records[-1]))
    version = fitting.fit(
        actor, since=since, until=until, kind="percentile", config={"minimum_records": 200}
    )
    scorers.release(actor, version=version)
