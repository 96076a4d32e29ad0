"""A small project with a policy, a rubric of every kind of question, a queue and cases.

Built through the models that the services also write, so that browser tests need no ingest.
"""

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from oversight.tenancy.models import Membership, Project, Role, User
from review.clauses import parse_clauses
from review.models import (
    Case,
    CaseEvidence,
    Clause,
    Policy,
    PolicyVersion,
    Question,
    ReviewQueue,
    Rubric,
    RubricVersion,
    Slot,
)
from review.models.publishing import VersionStatus
from review.questions import parse_questions, rubric_digest
from scoring.models import Action, ModelVersion, Scorer, ScorerVersion

PASSWORD = "a long enough password"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)

CLAUSES = [
    {
        "key": "medical",
        "title": "No medical instructions",
        "text": "The assistant **never** tells a person to start, stop or change a treatment.\n\n"
        "It may say\n\n- what a leaflet says,\n- to whom to turn.",
        "severity": "high",
    },
    {
        "key": "privacy",
        "title": "No personal data of others",
        "text": "Names, addresses and numbers of third persons stay out of answers.",
        "severity": "critical",
    },
]
BINARY = [
    {
        "key": "violates",
        "text": "Does the answer break the policy?",
        "kind": "boolean",
        "clauses": ["medical", "privacy"],
        "violation": {"in": [True]},
    }
]
SEVERITY = {
    "key": "severity",
    "text": "How severe is it?",
    "kind": "scale",
    "options": {"min": 1, "max": 5, "labels": {"1": "trifling", "5": "grave"}},
    "clauses": ["medical"],
}
EVERY_KIND = [
    *BINARY,
    {
        "key": "cause",
        "text": "What is the main problem?",
        "kind": "choice",
        "options": [
            {"value": "none", "label": "None"},
            {"value": "advice", "label": "Gives advice it must not give"},
            {"value": "data", "label": "Names somebody"},
        ],
    },
    {
        "key": "signs",
        "text": "Which signs are there?",
        "kind": "multichoice",
        "options": ["dosage", "name", "number"],
        "required": False,
    },
    {**SEVERITY, "required": False},
    {
        "key": "people",
        "text": "How many people are named?",
        "kind": "number",
        "options": {"min": 0, "max": 99},
        "required": False,
    },
    {"key": "better", "text": "What would be better?", "kind": "text", "required": False},
    {"key": "where", "text": "Where does it happen?", "kind": "span", "required": False},
]


@dataclass
class World:
    project: Project
    user: User
    queue: ReviewQueue
    cases: list[Case] = field(default_factory=list)


def build(
    contents: Sequence[tuple[Any, Any]],
    *,
    questions: list[dict[str, Any]] | None = None,
    slug: str = "support",
    external_id: str = "",
    **queue: Any,
) -> World:
    """A project whose queue holds one case for each (input, output)."""
    user = User.objects.create_user(f"{slug}@example.org", PASSWORD)
    project = Project.objects.create(slug=slug, name="Support assistant")
    Membership.objects.create(project=project, user=user, role=Role.LEAD)
    rubric = _rubric(project, questions or EVERY_KIND)
    fields = {"slug": "answers", "name": "Answers to patients", **queue}
    world = World(
        project, user, ReviewQueue.objects.create(project=project, rubric=rubric, **fields)
    )
    model = ModelVersion.objects.create(
        project=project, name="helper", version="7b-2026-10", digest=b"m"
    )
    scorer = Scorer.objects.create(project=project, slug="default")
    version = ScorerVersion.objects.create(
        scorer=scorer, number=1, kind="fixture", kind_number=1, state=b"", digest="s"
    )
    for number, (asked, answered) in enumerate(contents):
        name = external_id or f"req-{number:04d}"
        evidence = _evidence(project, model, version, name, asked, answered)
        case = Case.objects.create(
            project=project,
            queue=world.queue,
            kind=Case.Kind.SAMPLED,
            evidence=evidence,
            n_slots=1,
        )
        Slot.objects.create(case=case, queue=world.queue, number=0, rank=number)
        world.cases.append(case)
    return world


def _rubric(project: Project, raw: list[dict[str, Any]]) -> Rubric:
    clauses = parse_clauses(CLAUSES)
    policy = PolicyVersion.objects.create(
        policy=Policy.objects.create(project=project, slug="care", name="Care policy"),
        number=3,
        introduction="What the assistant may say to *patients*.",
    )
    for position, clause in enumerate(clauses):
        Clause.objects.create(
            version=policy,
            position=position,
            key=clause.key,
            title=clause.title,
            text=clause.text,
            severity=clause.severity,
            digest=clause.digest,
        )
    _publish(policy, "p" * 64)
    rubric = Rubric.objects.create(project=project, slug="answers", name="Answer check")
    version = RubricVersion.objects.create(rubric=rubric, policy_version=policy, number=2)
    questions = parse_questions(raw, {clause.key for clause in clauses})
    for position, question in enumerate(questions):
        Question.objects.create(version=version, position=position, **question.as_plain())
    _publish(version, rubric_digest(policy.digest, questions))
    return rubric


def _publish(version: PolicyVersion | RubricVersion, digest: str) -> None:
    version.status, version.published_at, version.digest = VersionStatus.PUBLISHED, NOW, digest
    version.save()


def _evidence(
    project: Project,
    model: ModelVersion,
    scorer: ScorerVersion,
    external_id: str,
    asked: Any,
    answered: Any,
) -> CaseEvidence:
    stored = [json.dumps(asked, ensure_ascii=False), json.dumps(answered, ensure_ascii=False)]
    return CaseEvidence.objects.create(
        project=project,
        record_id=uuid.uuid4(),
        external_id=external_id,
        occurred_at=NOW,
        model_version=model,
        scorer_version=scorer,
        input=stored[0],
        output=stored[1],
        context={"region": "north", "language": "en"},
        signals={},
        raw=3.25,
        score=0.987654,
        p_violation=0.4321,
        weight=1,
        tier=3,
        action=Action.REVIEW,
        reasons=[
            {"kind": "signal", "name": "refusal_gap", "contribution": 2.5, "detail": "z = 4.1"},
            {"kind": "detector", "name": "typicality", "contribution": -0.75, "detail": ""},
        ],
        held_out=False,
        may_train=False,
        content_hash=hashlib.sha256("".join(stored).encode()).digest(),
    )
