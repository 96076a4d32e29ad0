"""Figures through the product: against a hand count, against the estimators, null and refused."""

import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from review.estimates import populations as sizes
from review.models import PopulationCount, SamplingRound
from review.services import rounds
from scoring.core.estimation.rates import estimate_rate
from scoring.core.estimation.rounds import Window, floor_testimony, make_round
from tests.factories import make_api, make_record
from tests.judging import judge

pytestmark = pytest.mark.django_db(transaction=True)

DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=3)


def asked(api, queue, metric="prevalence", **params):
    text = "&".join(f"{name}={value}" for name, value in params.items())
    return api.get(f"estimates?queue={queue.slug}&metric={metric}&{text}")


def figure(api, queue, metric="prevalence", **params):
    answer = asked(api, queue, metric, **params)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_a_census_is_counted_by_hand(api, owner, queue, send):
    """40 records, all drawn in every stratum and judged: every third violates, exactly."""
    send(40)
    queue.evaluation_budget = 40
    rounds.run(owner, queue=queue, budget=40)
    judge(api, queue)
    told = figure(api, queue)
    assert (told["value"], told["low"], told["high"]) == (14 / 40, 14 / 40, 14 / 40)
    assert (told["n_verdicts"], told["n_records"], told["unresolved"]) == (40, 40, 0)
    assert told["effective_sample_size"] == 40
    assert told["excluded"] == []
    assert told["reason"] is None
