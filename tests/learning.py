"""A stream with a known truth, judged by a reviewer who never errs: what tests of learning need."""

from uuid import uuid4

import numpy as np
from django.db.models.functions import Now

from review.models import Case, CaseResolution, Slot, Verdict
from review.services import claims, policies, rounds, rubrics, verdicts
from review.services.starter import _CLAUSES, _QUESTIONS, POLICY, RUBRIC
from scoring.services import windows
from tests.factories import make_record

D = 6


def stream(n, first=0, seed=1, *, share=0.1, regions=("EU", "US"), twist=None):
    """`n` records, a share of which violate: those have higher signals and another fingerprint.

    The truth stands in the external id: `v-17` violates, `o-17` does not. `twist(rng, region,
    violates)` may say otherwise.
    """
    rng = np.random.default_rng(seed)
    made = []
    for i in range(first, first + n):
        region = regions[i % len(regions)]
        violates = bool(rng.uniform() < share)
        centre = 1.5 if violates else 0.0
        vector = rng.normal(size=D)
        vector[0] += 2.0 * violates
        signals = {
            "toxicity": float(rng.normal(centre, 1.0)),
            "noise": float(rng.normal()),
        }
        if twist is not None:
            violates = twist(rng, region, violates)
        made.append(
            make_record(
                i,
                external_id=f"{'v' if violates else 'o'}-{i}",
                signals=signals,
                fingerprint=vector.tolist(),
                context={"region": region, "plan": ("free", "paid")[i % 2]},
            )
        )
    return made


def judge(actor, queue, n=None, truth=None):
    """Answer the next `n` open cases of a queue, or all; returns how many were answered."""
    done = 0
    while n is None or done < n:
        claim = claims.claim_next(actor, queue=queue)
        if claim is None:
            break
        name = claim.case.evidence.external_id
        verdicts.submit(
            actor,
            case_id=claim.case.pk,
            claim_token=claim.token,
            answers={"violation": name.startswith("v-") if truth is None else truth(name)},
        )
        done += 1
    return done


def judge_at_once(actor, queue):
    """All open cases answered as `judge` would have it, in a few statements: rows, not services.

    `test_learning_labels` holds the two to the same labels.
    """
    form = claims.current_rubric(queue)
    cases = list(
        Case.objects.filter(queue=queue, state=Case.State.OPEN)
        .select_related("evidence")
        .order_by("slots__rank")
    )
    slots = {slot.case_id: slot for slot in Slot.objects.filter(case__in=cases)}
    given = [
        Verdict(
            project=queue.project,
            case=case,
            slot=slots[case.pk],
            reviewer=actor.user,
            rubric_version=form,
            rubric_digest=form.digest,
            clause_hashes={},
            answers={"violation": case.evidence.external_id.startswith("v-")},
            violation=case.evidence.external_id.startswith("v-"),
            is_blind=True,
            content_hash=case.evidence.content_hash,
            token=uuid4(),
        )
        for case in cases
    ]
    Verdict.objects.bulk_create(given)
    CaseResolution.objects.bulk_create(
        CaseResolution(
            case=verdict.case,
            number=1,
            rule="single",
            answers=verdict.answers,
            violation=verdict.violation,
            n_verdicts=1,
            verdicts=[str(verdict.pk)],
            rubric_version=form,
        )
        for verdict in given
    )
    Slot.objects.filter(case__in=cases).update(state=Slot.State.DONE, reviewer=actor.user)
    Case.objects.filter(pk__in=[case.pk for case in cases]).update(
        state=Case.State.RESOLVED, resolved_at=Now()
    )
    return len(cases)


def feed(api, owner, reviewer, queue, n=200, *, first=1000, seed=4, **options):
    """A window of the stream, drawn whole and judged."""
    api.post("records", {"records": stream(n, first=first, seed=seed, share=0.3, **options)})
    windows.close_window(owner)
    window = rounds.undrawn_windows(queue)[-1]
    rounds.draw_window(owner, queue=queue, window=window)
    assert judge_at_once(reviewer, queue) > 0


def publish_rules(actor, *, change=None, add=None):
    """A new version of the starter policy and rubric: a clause in other words, or one more."""
    clauses = [
        {**clause, "text": clause["text"] + " Changed."} if clause["key"] == change else clause
        for clause in _CLAUSES
    ]
    keys = [clause["key"] for clause in clauses]
    if add:
        clauses.append({"key": add, "title": add, "text": "New.", "severity": "low"})
        keys.append(add)
    policy = policies.draft_policy(actor, slug=POLICY, clauses=clauses)
    policies.publish_policy(actor, slug=POLICY, number=policy.number)
    questions = [{**_QUESTIONS[0], "clauses": keys}]
    rubric = rubrics.draft_rubric(actor, slug=RUBRIC, policy=POLICY, questions=questions)
    rubrics.publish_rubric(actor, slug=RUBRIC, number=rubric.number)
