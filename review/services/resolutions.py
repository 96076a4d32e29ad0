"""Resolutions: what the verdicts on a case come to, appended and numbered at every change.

Figures rest on blind answers: of each human reviewer's verdicts on a case, the latest blind one
counts. AI raters are never counted as human.

A tie is a resolution without a label, and widens figures by the worst case. So somebody else is
asked, if there is anybody: the case gets one more slot, which holds nothing up.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import combinations
from typing import Any

from django.db.models.functions import Now

from oversight.audit import services as audit
from oversight.lib import codec
from oversight.tenancy.actors import Actor
from review.models import Case, CaseResolution, Slot, Verdict

ACTIVE = timedelta(days=28)  # who has not answered for so long is not waited for


def resolve(actor: Actor, *, case: Case) -> CaseResolution | None:
    """Append the case's resolution once every slot is answered; the caller holds the case's lock.

    Returns:
        The new resolution, or None while answers are missing or nothing has changed.
    """
    asked = Slot.objects.filter(case=case, ai_rater="", number__lt=case.n_slots)
    verdicts = counted_verdicts(case)
    if asked.filter(state=Slot.State.OPEN).exists() or not verdicts:
        return None
    rule, violation = _consensus(verdicts)
    last = case.resolutions.order_by("-number").first()
    ids = [str(verdict.pk) for verdict in verdicts]
    if last is not None and last.verdicts == ids:
        return None
    resolution = CaseResolution.objects.create(
        case=case,
        number=last.number + 1 if last else 1,
        rule=rule,
        answers=_answers(verdicts),
        violation=violation,
        n_verdicts=len(verdicts),
        agreement=agreement([verdict.violation for verdict in verdicts]),
        verdicts=ids,
        rubric_version=verdicts[-1].rubric_version,
    )
    if rule == "tie":
        _ask_another(case)
    if case.state != Case.State.RESOLVED:
        Case.objects.filter(pk=case.pk).update(state=Case.State.RESOLVED, resolved_at=Now())
    audit.record(
        actor,
        "case.resolved",
        "case",
        case.pk,
        number=resolution.number,
        rule=rule,
        verdicts=ids,
    )
    return resolution


def _ask_another(case: Case) -> None:
    """A further slot, served next, where another active reviewer could settle a tie."""
    slots = Slot.objects.filter(case=case, ai_rater="")
    if slots.filter(state=Slot.State.OPEN).exists():
        return
    others = (
        Verdict.objects.filter(case__queue=case.queue_id, ai_rater="")
        .filter(created_at__gt=Now() - ACTIVE)
        .exclude(reviewer__in=slots.filter(reviewer__isnull=False).values("reviewer"))
    )
    if others.exists():
        last = slots.latest("number")
        Slot.objects.create(
            case=case, queue_id=case.queue_id, number=last.number + 1, rank=last.rank
        )


def counted_verdicts(case: Case) -> list[Verdict]:
    """The latest blind verdict of each human reviewer, in the order they were given.

    In a queue that shows evidence from the start no verdict is blind; there the latest counts.
    """
    latest: dict[int, Verdict] = {}
    rows = (
        Verdict.objects.filter(case=case, ai_rater="")
        .select_related("rubric_version")
        .order_by("created_at", "pk")
    )
    for verdict in rows:
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
