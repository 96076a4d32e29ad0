"""What verdicts have said about records, as the posterior learns it: one lesson per record.

Held-out and erased records teach nothing, nor do answers that rest on other clauses. Where
verdicts disagree the target lies between 0 and 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from review.beliefs.head import Head, head_of_version
from review.models import Case, CaseEvidence, CaseResolution, ReviewQueue, RubricVersion, Verdict
from scoring.services.pinned import Stored

MAX_LESSONS = 20_000  # the newest: a fit holds all its features
_CHUNK = 2_000
_TEACHING = (
    Case.Kind.SAMPLED,
    Case.Kind.ESCALATED,
    Case.Kind.OVERLAP,
    Case.Kind.RE_REVIEW,
    Case.Kind.ADJUDICATION,
)
_ADJUDICATED = "adjudicated"


@dataclass(slots=True)
class Lesson:
    """One record's label.

    Attributes:
        evidence: id of its copy.
        resolutions: ids of the resolutions that say so, ascending.
        targets: one per resolution, in [0, 1].
        escalated: only people sent it here, for a reason that its features may not tell.
    """

    evidence: int
    resolutions: list[int] = field(default_factory=list)
    targets: list[float] = field(default_factory=list)
    escalated: bool = True

    @property
    def target(self) -> float:
        return sum(self.targets) / len(self.targets)

    @property
    def newest(self) -> int:
        return self.resolutions[-1]


def read(queue: ReviewQueue, head: Head) -> list[Lesson]:
    """The queue's lessons under a head, by their newest resolution."""
    rows = list(
        CaseResolution.objects.filter(
            case__queue=queue,
            case__kind__in=_TEACHING,
            case__evidence__held_out=False,
            case__evidence__erased_at=None,
        )
        .order_by("case_id", "-number")
        .distinct("case_id")
        .values_list(*("id", "rule", "violation", "verdicts", "case__kind", "case__evidence_id"))
    )
    rows = sorted(rows)[-MAX_LESSONS:]
    votes = _votes(rows_verdicts=[row[3] for row in rows], head=head)
    lessons: dict[int, Lesson] = {}
    for resolution, rule, violation, verdicts, kind, evidence in rows:
        target = _target(rule, violation, [votes.get(one) for one in verdicts])
        if target is None:
            continue
        lesson = lessons.setdefault(evidence, Lesson(evidence))
        lesson.resolutions.append(resolution)
        lesson.targets.append(target)
        lesson.escalated &= kind == Case.Kind.ESCALATED
    return sorted(lessons.values(), key=lambda lesson: lesson.newest)


def stored(lessons: Sequence[Lesson]) -> dict[int, Stored]:
    """The evidence of lessons as it was copied, by its id."""
    found: dict[int, Stored] = {}
    wanted = [lesson.evidence for lesson in lessons]
    for start in range(0, len(wanted), _CHUNK):
        rows = (
            CaseEvidence.objects.filter(pk__in=wanted[start : start + _CHUNK], erased_at=None)
            .select_related("model_version")
            .defer("input", "output")
        )
        found |= {row.pk: _stored(row) for row in rows}
    return found


def _stored(row: CaseEvidence) -> Stored:
    return Stored(
        record_id=row.record_id,
        model=row.model_version,
        scorer_version=row.scorer_version_id,
        region=row.region,
        context=row.context,
        signals=row.signals,
        fingerprint=None if row.fingerprint is None else bytes(row.fingerprint),
        raw=row.raw,
        score=row.score,
        reasons=row.reasons,
    )


def _votes(rows_verdicts: Sequence[Sequence[str]], head: Head) -> dict[str, bool | None]:
    """What each verdict says, by its id; those under other clauses are left out."""
    wanted = [one for verdicts in rows_verdicts for one in verdicts]
    comparable: dict[int, bool] = {}
    found: dict[str, bool | None] = {}
    for start in range(0, len(wanted), _CHUNK):
        rows = Verdict.objects.filter(pk__in=wanted[start : start + _CHUNK])
        for key, violation, version in rows.values_list("id", "violation", "rubric_version_id"):
            if version not in comparable:
                given = head_of_version(RubricVersion.objects.get(pk=version))
                comparable[version] = given == head
            if comparable[version]:
                found[str(key)] = violation
    return found


def _target(rule: str, violation: bool | None, votes: Sequence[bool | None]) -> float | None:
    said = [float(vote) for vote in votes if vote is not None]
    if not said:
        return None
    if rule == _ADJUDICATED and violation is not None:
        return float(violation)
    return sum(said) / len(said)
