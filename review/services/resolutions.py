"""Resolutions: what the verdicts on a case come to, appended and numbered at every change.

Figures rest on blind answers: of each human reviewer's verdicts on a case, the latest blind one
counts. AI raters are never counted as human.

A tie is a resolution without a label, and widens figures by the worst case. So somebody else is
asked, if there is anybody who knows of no answer yet: the case gets one more slot, which holds
nothing up.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations
from typing import Any

from django.db.models.functions import Now

from oversight.audit import services as audit
from oversight.lib import codec
from oversight.lib.postgres.statements import Columns, fetch
from oversight.tenancy.actors import Actor
from review.models import Case, CaseResolution, Skip, Slot, Verdict
from review.services import frontiers

ACTIVE = timedelta(days=28)  # who has not answered for so long is not waited for


def resolve(actor: Actor, *, case: Case) -> CaseResolution | None:
    """Append the case's resolution once every slot is answered; the caller holds the case's lock.

    Returns:
        The new resolution, or None while answers are missing or nothing has changed.
    """
    standing = _standing(case)
    verdicts = counted_verdicts(standing.verdicts)
    if standing.is_waiting or not verdicts:
        return None
    rule, violation = _consensus(verdicts)
    ids = [str(verdict.pk) for verdict in verdicts]
    if standing.resolved_by == ids:
        return None
    resolution = CaseResolution(
        case=case,
        number=standing.n_resolutions + 1,
        rule=rule,
        answers=_answers(verdicts),
        violation=violation,
        n_verdicts=len(verdicts),
        agreement=agreement([verdict.violation for verdict in verdicts]),
        verdicts=ids,
        rubric_version_id=verdicts[-1].rubric_version_id,
    )
    _store(actor, resolution)
    if rule == "tie":
        _ask_another(case)
    return resolution


@dataclass(frozen=True, slots=True)
class _Standing:
    """How a case stands: whether answers are missing, and what it was last resolved by."""

    is_waiting: bool
    n_resolutions: int
    resolved_by: list[str]
    verdicts: list[Verdict]  # by people, in the order they were given


_VERDICT = Columns(
    Verdict, "v", only=["reviewer", "rubric_version", "answers", "violation", "is_blind"]
)
_STANDING = f"""
SELECT EXISTS (
        SELECT 1 FROM review_slot s WHERE s.case_id = %(case)s AND s.ai_rater = ''
          AND s.number < %(n_slots)s AND s.state = 'open'),
    coalesce(last.number, 0), coalesce(last.verdicts, '[]'), {_VERDICT}
FROM review_verdict v LEFT JOIN (
    SELECT * FROM review_caseresolution
    WHERE case_id = %(case)s ORDER BY number DESC LIMIT 1) last ON true
WHERE v.case_id = %(case)s AND v.ai_rater = ''
ORDER BY v.created_at, v.id
"""  # noqa: S608  our own names


def _standing(case: Case) -> _Standing:
    rows = fetch(_STANDING, {"case": case.pk, "n_slots": case.n_slots})
    if not rows:
        return _Standing(is_waiting=True, n_resolutions=0, resolved_by=[], verdicts=[])
    is_waiting, n_resolutions, resolved_by = rows[0][:3]
    verdicts = [_VERDICT.take(iter(row[3:])) for row in rows]
    return _Standing(is_waiting, n_resolutions, json.loads(resolved_by), verdicts)


_STORE = f"""
WITH resolution AS (
    INSERT INTO review_caseresolution (case_id, number, rule, answers, violation, n_verdicts,
        agreement, verdicts, rubric_version_id)
    VALUES (%(case)s, %(number)s, %(rule)s, %(answers)s, %(violation)s, %(n_verdicts)s,
        %(agreement)s, %(verdicts)s, %(rubric_version)s)
    RETURNING *
), resolved AS (
    UPDATE review_case SET state = 'resolved', resolved_at = statement_timestamp()
    WHERE id = %(case)s AND state <> 'resolved'
), {
    audit.events_of(
        "resolution",
        object_id="case_id::text",
        detail="jsonb_build_object('number', number, 'rule', rule, 'verdicts', verdicts)",
    )
}
SELECT id, created_at FROM resolution
"""  # noqa: S608  our own names


def _store(actor: Actor, resolution: CaseResolution) -> None:
    """Append a resolution, with its case's new state and its event."""
    values = {
        "case": resolution.case_id,
        "number": resolution.number,
        "rule": resolution.rule,
        "answers": json.dumps(resolution.answers),
        "violation": resolution.violation,
        "n_verdicts": resolution.n_verdicts,
        "agreement": resolution.agreement,
        "verdicts": json.dumps(resolution.verdicts),
        "rubric_version": resolution.rubric_version_id,
        **audit.event_of(actor, "case.resolved", "case"),
    }
    ((resolution.pk, resolution.created_at),) = fetch(_STORE, values)
    resolution._state.adding = False


def _ask_another(case: Case) -> None:
    """A further slot, served next, where another active reviewer could settle a tie."""
    slots = Slot.objects.filter(case=case, ai_rater="")
    if slots.filter(state=Slot.State.OPEN).exists():
        return
    others = (
        Verdict.objects.filter(case__queue=case.queue_id, ai_rater="")
        .filter(created_at__gt=Now() - ACTIVE)
        .exclude(reviewer__in=slots.filter(reviewer__isnull=False).values("reviewer"))
        .exclude(reviewer__in=Skip.objects.filter(case=case, ai_rater="").values("reviewer"))
    )
    if others.exists():
        last = slots.latest("number")
        Slot.objects.create(
            case=case, queue_id=case.queue_id, number=last.number + 1, rank=last.rank
        )
        frontiers.draw_back(case.queue_id, rank=last.rank, case=case)


def counted_verdicts(given: Sequence[Verdict]) -> list[Verdict]:
    """The latest blind verdict of each human reviewer, of those in the order they were given.

    In a queue that shows evidence from the start no verdict is blind; there the latest counts.
    """
    latest: dict[int, Verdict] = {}
    for verdict in given:
        assert verdict.reviewer_id is not None
        held = latest.get(verdict.reviewer_id)
        if held is None or verdict.is_blind or not held.is_blind:
            latest[verdict.reviewer_id] = verdict
    return list(latest.values())


def _consensus(verdicts: Sequence[Verdict]) -> tuple[str, bool | None]:
    labels = [verdict.violation for verdict in verdicts]
    if len(labels) == 1:
        return "single", labels[0]
    yes, no = labels.count(True), labels.count(False)
    if yes == no:
        return "tie", None
    return "majority", yes > no


def _answers(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Per question the answer that more than half gave; questions without one are left out."""
    consensus = {}
    for key in sorted({key for verdict in verdicts for key in verdict.answers}):
        values = [verdict.answers[key] for verdict in verdicts if key in verdict.answers]
        counts = Counter(codec.canonical(value) for value in values)
        winner, count = counts.most_common(1)[0]
        if 2 * count > len(verdicts):
            consensus[key] = codec.decode(winner)
    return consensus


def agreement(labels: Sequence[bool | None]) -> float | None:
    """Share of pairs of reviewers who say the same; None with fewer than two labels."""
    known = [label for label in labels if label is not None]
    pairs = list(combinations(known, 2))
    return sum(a == b for a, b in pairs) / len(pairs) if pairs else None
