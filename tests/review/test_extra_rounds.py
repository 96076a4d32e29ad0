"""Rounds drawn again over one window: combined without bias, derived again, safe in a race."""

from datetime import timedelta
from functools import partial

import numpy as np
import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now

from review import tasks
from review.models import Case, ReviewQueue, RoundCut, SamplingRound, Selection, Slot
from review.selectors.finished_rounds import finished_strata
from review.services import claims, cuts, extra_rounds, rounds, verification
from scoring.core.estimation.rounds import Window, make_round
from scoring.core.estimation.totals import window_total
from scoring.models import InferenceRecord
from tests.factories import make_member
from tests.judging import judge, rows_of
from tests.sessions import all_at_once, without_triggers

N = 30


def finish(made, n):
    """The first `n` cases of a round are resolved, as far as draws and cuts look at them."""
    inside = Case.objects.filter(selection__round=made, selection__position__lt=n)
    # By their ids: within one long transaction the planner has no statistics to join well by.
    done = list(inside.values_list("pk", flat=True))
    Slot.objects.filter(case__in=done).update(state="done")
    Case.objects.filter(pk__in=done).update(state="resolved", resolved_at=Now())


def weighted_total(stratum, label):
    """Σ w·y with the weights that exports write."""
    total = 0.0
    for one in stratum.rounds:
        rows = list(Selection.objects.filter(round=one.round_id).order_by("position"))
        weights = one.weights(
            np.array([row.position for row in rows]),
            np.array([row.gain for row in rows]),
            np.array([row.inclusion_probability for row in rows]),
        )
        total += sum(w * label[row.record_id] for w, row in zip(weights, rows, strict=True))
    return total


def in_memory(stratum, label):
    """The same by the estimator of scoring.core, from rounds told one by one."""
    told = []
    for one in stratum.rounds:
        rows = list(
            Selection.objects.filter(round=one.round_id, position__lt=one.prefix).order_by(
                "position"
            )
        )
        q = one.inclusion_probabilities(
            np.array([row.gain for row in rows]),
            np.array([row.inclusion_probability for row in rows]),
        )
        told.append(make_round([label[row.record_id] for row in rows], q))
    return window_total(Window(stratum.n_records, (stratum.n_records, 0), tuple(told)), 0).value


@pytest.mark.django_db
def test_three_rounds_with_random_prefixes_are_unbiased(project, owner, queue, send):
    project.held_out_share = 0
    project.save()
    send(N)
    ReviewQueue.objects.filter(pk=queue.pk).update(
        budget=8, floor=0.4, tau=3.0, budget_rule="fixed"
    )
    queue.refresh_from_db()
    rounds.run(owner, queue=queue)
    window = SamplingRound.objects.get(queue=queue).window
    records = list(InferenceRecord.objects.filter(project=project).order_by("id"))
    # Labels that go with the score, which the draw favours, and some that do not.
    label = {r.id: float(i % 4 == 0 or r.score > 0.8) for i, r in enumerate(records)}
    truth = sum(label.values())
    rng = np.random.default_rng(11)
    totals, counts = [], []
    for number in range(100):
        if number % 10 == 0:  # nobody else does it within this test's transaction
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE review_case, review_selection, review_slot")
        queue.pk, queue.slug = None, f"copy-{number}"
        queue._state.adding = True
        queue.save()
        (made,) = rounds.draw_window(owner, queue=queue, window=window)
        for _ in range(2):
            finish(made, int(rng.integers(1, made.n_selected + 1)))
            (made,) = extra_rounds.draw_again(owner, queue=queue, window=window)
        finish(made, int(rng.integers(0, made.n_selected + 1)))
        (stratum,) = finished_strata(queue)
        assert len(stratum.rounds) == 3
        totals.append(weighted_total(stratum, label))
        assert totals[-1] == pytest.approx(in_memory(stratum, label), abs=1e-9)
        counts.append(weighted_total(stratum, dict.fromkeys(label, 1.0)))
    for found, wanted in ((totals, truth), (counts, N)):
        error = np.std(found) / np.sqrt(len(found))
        assert abs(np.mean(found) - wanted) < 5.5 * error
        # As a rule a twentieth; one record drawn against the odds, and heavy, makes it a sixth.
        assert error < 0.4 * wanted, "too noisy to tell anything"


@pytest.mark.django_db(transaction=True)
def test_an_extra_round_leaves_what_was_begun_and_takes_the_rest(
    project, owner, queue, send, api, export
):
    project.held_out_share = 0
    project.save()
    send(60)
    (first,) = rounds.run(owner, queue=queue, budget=10)
    judge(api, queue, 4)
    held = claims.claim_next(make_member(project), queue=queue)
    (extra,) = extra_rounds.run(owner, queue=queue, span=extra_rounds.Span(), budget=6)
    assert held.case.selection.position == 4
    assert RoundCut.objects.get(round=first).length == 5, "the case in hand stays"
    assert (extra.number, extra.n_candidates, extra.n_selected) == (2, 55, 6)
    kept = set(first.selections.filter(position__lt=5).values_list("record_id", flat=True))
    assert kept.isdisjoint(extra.selections.values_list("record_id", flat=True))
    assert Case.objects.filter(selection__round=first, state="withdrawn").count() == 5
    assert verification.verify_round(extra).outcome == verification.FULL
    assert verification.verify_round(first).outcome == verification.FULL
    # The later round waits for the case in hand, and counts as soon as it is answered.
    judge(api, queue)
    (stratum,) = finished_strata(queue)
    assert [one.prefix for one in stratum.rounds] == [4, 0]
    assert [one.omega for one in stratum.rounds] == [1.0, 0.0]
    finish(first, 5)
    (stratum,) = finished_strata(queue)
    assert [one.prefix for one in stratum.rounds] == [5, 6]
    assert stratum.n_unresolved[1] == 0
    assert sum(one.omega for one in stratum.rounds) == pytest.approx(1, abs=1e-12)
    answer = api.get(f"rounds/{extra.pk}").json()
    assert (answer["number"], answer["completed_prefix"]) == (2, 6)
    dataset = export()
    rows = rows_of(dataset)
    assert {made["number"] for made in dataset.manifest["rounds"]} == {1, 2}
    labels = {row["record_id"]: row["label"] for row in rows}
    drawn = dict(Selection.objects.values_list("record_id", "inclusion_probability"))
    exported = {row["record_id"]: row["weight"] for row in rows}
    two = stratum.rounds[1]
    last = [row for row in rows if row["round_id"] == extra.pk]
    assert len(last) == 6
    for row in last:
        assert row["weight"] == pytest.approx(two.omega / row["inclusion_probability"], rel=1e-9)
    early = [row for row in rows if row["round_id"] == first.pk]
    assert all(row["weight"] > two.omega for row in early)
    assert len(labels) == len(exported) == len(rows)
    assert drawn


@pytest.mark.django_db(transaction=True)
def test_two_who_ask_at_once_draw_once(project, owner, queue, send):
    send(40)
    rounds.run(owner, queue=queue, budget=5)
    window = SamplingRound.objects.filter(queue=queue).first().window
    before = SamplingRound.objects.filter(queue=queue).count()
    ask = partial(extra_rounds.draw_again, owner, queue=queue, window=window, seen=before)
    got = all_at_once(*[ask] * 4)
    assert sum(bool(made) for made in got) == 1
    places = list(SamplingRound.objects.values_list("window", "stratum", "number"))
    assert len(set(places)) == len(places)


@pytest.mark.django_db(transaction=True)
def test_a_cut_never_takes_a_claimed_case(project, owner, queue, send):
    """Reviewers claim while the round is cut over and over: every claim stays good."""
    send(80)
    (made, *_) = rounds.run(owner, queue=queue, budget=40)
    people = [make_member(project) for _ in range(6)]

    def claim(reviewer):
        return [claims.claim_next(reviewer, queue=queue) for _ in range(4)]

    cut = partial(extra_rounds.draw_again, owner, queue=queue, window=made.window)
    _, *batches = all_at_once(cut, *[partial(claim, reviewer) for reviewer in people])
    got = [c for batch in batches for c in batch if c is not None]
    states = dict(Case.objects.filter(pk__in=[c.case.pk for c in got]).values_list("pk", "state"))
    assert set(states.values()) <= {"open"}
    end = RoundCut.objects.get(round=made).length
    beyond = Case.objects.filter(selection__round=made, selection__position__gte=end)
    assert set(beyond.values_list("state", flat=True)) <= {"withdrawn"}
    assert not Slot.objects.filter(case__in=beyond, state="open").exists()


@pytest.mark.django_db(transaction=True)
def test_old_cases_expire_from_the_end_alone(project, owner, queue, send, api):
    send(60)
    ReviewQueue.objects.filter(pk=queue.pk).update(max_age_hours=1, evaluation_budget=0)
    queue.refresh_from_db()
    (made,) = rounds.run(owner, queue=queue, budget=10)
    judge(api, queue, 3)
    assert cuts.expire(owner) == 0, "nothing is old yet"
    with without_triggers():
        SamplingRound.objects.update(created_at=Now() - timedelta(hours=2))
    claims.claim_next(make_member(project), queue=queue)
    assert tasks.expire_cases() == 6
    assert cuts.expire(owner) == 0, "twice is as good as once"
    assert RoundCut.objects.get(round=made).length == 4
    (stratum,) = finished_strata(queue)
    assert (stratum.rounds[0].prefix, stratum.rounds[0].end, stratum.n_waiting) == (3, 4, 1)
    judge(api, queue)
    assert claims.claim_next(make_member(project), queue=queue) is None


@pytest.mark.django_db(transaction=True)
def test_asking_by_api_and_command(project, owner, queue, send, api, capsys):
    send(40)
    rounds.run(owner, queue=queue, budget=5)
    answer = api.post("rounds", {"queue": queue.slug, "windows": "again", "budget": 3})
    assert answer.status_code == 202
    assert tasks.run_round(answer.json()["id"]) == "done"
    stream = SamplingRound.objects.filter(queue=queue, stratum="stream")
    assert list(stream.order_by("number").values_list("number", "budget")) == [(1, 5), (2, 3)]
    for wrong in ("never", {}, {"since": "today"}, {"from": "2026-01-01T00:00:00Z"}, 3):
        refused = api.post("rounds", {"queue": queue.slug, "windows": wrong})
        assert refused.status_code == 400, wrong
        assert refused.json()["errors"][0]["path"].startswith("windows")
    past = {"until": "2020-01-01T00:00:00Z"}
    answer = api.post("rounds", {"queue": queue.slug, "windows": past})
    assert tasks.run_round(answer.json()["id"]) == "done"
    assert stream.count() == 2
    call_command("sample", queue=queue.slug, again=True)
    assert stream.count() == 3
    for made in stream:
        call_command("verify-round", made.pk)
    assert capsys.readouterr().out.count("full") == 3
