"""Disclosures: what a reviewer is told of the machine's opinion of a record they have judged is
noted before it is told, so that a later correction is not counted as blind.

So are others' answers on a case that they have not judged: should it become a tie, somebody else is
asked.
"""

from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from oversight.audit import services as audit
from oversight.lib import errors
from oversight.lib.postgres.statements import fetch
from oversight.tenancy.actors import Actor
from review.models import Case, EvidenceReveal, ReviewQueue, Verdict
from review.selectors.blindness import in_hand
from review.services.verdicts import get_own


def see_evidence(actor: Actor, *, verdict_id: UUID) -> Verdict:
    """Note that the reviewer is now shown score, tier and reasons; only after a verdict.

    Raises:
        NotFound: no such verdict of the caller's.
        NotAllowed: the queue is judged blind always, or another case of the record is in hand.
    """
    with transaction.atomic():
        verdict = get_own(actor, verdict_id=verdict_id)
        if verdict.case.queue.evidence == ReviewQueue.Evidence.ALWAYS:
            raise errors.NotAllowed("this queue is judged blind always")
        if verdict.case.evidence.record_id in in_hand(actor):
            raise errors.NotAllowed("you have another case of this record in hand")
        _note_seen(actor, verdict)
    return verdict


def see_evidence_of_case(actor: Actor, *, case: Case) -> bool:
    """Whether the evidence of a case may be shown to one who reviews; noted as seen if so.

    Before a verdict of theirs, while a case of the record is in hand, and in a queue that is judged
    blind always, it may not.
    """
    mine = {"ai_rater": actor.ai_rater} if actor.ai_rater else {"reviewer": actor.user}
    if not actor.can_review or case.queue.evidence == ReviewQueue.Evidence.ALWAYS:
        return False
    if case.evidence.record_id in in_hand(actor):
        return False
    with transaction.atomic():
        verdict = Verdict.objects.filter(case=case, **mine).order_by("-created_at", "-pk").first()
        if verdict is None:
            return False
        _note_seen(actor, verdict)
    return True


# The latest verdicts on the records, where they are blind and nothing is noted of them yet.
_SEE = f"""
WITH seen AS (
    INSERT INTO review_evidencereveal (verdict_id)
    SELECT v.id FROM review_caseevidence e
    JOIN review_case c ON c.evidence_id = e.id
    JOIN review_verdict v ON v.case_id = c.id
    WHERE e.project_id = %(project)s AND e.record_id = ANY(%(records)s::uuid[])
      AND v.ai_rater = %(rater)s AND (v.ai_rater <> '' OR v.reviewer_id = %(user)s)
      AND v.is_blind AND NOT EXISTS (SELECT 1 FROM review_verdict n WHERE n.supersedes_id = v.id)
    ON CONFLICT DO NOTHING
    RETURNING verdict_id
), {
    audit.events_of(
        "seen JOIN review_verdict v ON v.id = seen.verdict_id",
        object_id="v.id::text",
        detail="jsonb_build_object('case', v.case_id)",
    )
}
SELECT count(*) FROM seen
"""  # noqa: S608  our own names


def see_records(actor: Actor, record_ids: Collection[UUID]) -> None:
    """Note that whoever has judged some of these records is now told what the machine made of them.

    For pages that are not about a case: they show the score to all who may read records.
    """
    if not (record_ids and actor.can_review):
        return
    values = {
        "project": actor.project.pk,
        "records": list(record_ids),
        "rater": actor.ai_rater,
        "user": None if actor.ai_rater or actor.user is None else actor.user.pk,
        **audit.event_of(actor, "evidence.seen", "verdict"),
    }
    fetch(_SEE, values)


_SEE_ANSWERS = f"""
WITH seen AS (
    INSERT INTO review_skip (case_id, reviewer_id, ai_rater, reason)
    SELECT told.case_id, %(user)s, '', 'was told the answers of others'
    FROM (SELECT DISTINCT unnest(%(cases)s::uuid[]) AS case_id) told
    WHERE NOT EXISTS (
        SELECT 1 FROM review_slot s WHERE s.case_id = told.case_id AND s.reviewer_id = %(user)s)
    ON CONFLICT DO NOTHING
    RETURNING case_id
), {audit.events_of("seen", object_id="case_id::text", detail="'{}'::jsonb")}
SELECT count(*) FROM seen
"""  # noqa: S608  our own names


def see_answers(actor: Actor, told: Collection[Verdict]) -> None:
    """Note that a reviewer is now told these verdicts; the cases are not served to them any more.

    An AI rater is never asked to settle a tie, so that nothing is noted of it.
    """
    if actor.user is None or actor.ai_rater or "review" not in actor.permissions:
        return
    cases = [verdict.case_id for verdict in told if verdict.reviewer_id != actor.user.pk]
    if cases:
        values = {
            "cases": cases,
            "user": actor.user.pk,
            **audit.event_of(actor, "answers.seen", "case"),
        }
        fetch(_SEE_ANSWERS, values)


def _note_seen(actor: Actor, verdict: Verdict) -> None:
    _, is_new = EvidenceReveal.objects.get_or_create(verdict=verdict, defaults={"at": Now()})
    if is_new:
        audit.record(actor, "evidence.seen", "verdict", verdict.pk, case=str(verdict.case_id))
