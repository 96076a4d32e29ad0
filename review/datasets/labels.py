"""What a row's label is, and whether labels of two rubric versions may stand in one column."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from django.db.models import QuerySet

from oversight.lib import codec, errors
from review.models import Clause, Question, ReviewQueue, RubricVersion, Verdict
from review.violations import violation_of

# No column can hold these: a text or a list of passages is no label.
UNLABELLED_KINDS = ("text", "span")
_TYPES = {"boolean": "integer", "scale": "number", "number": "number"}


class Rows(Protocol):
    """Where rows are read: an export's snapshot, or the connection of a request."""

    def rows(self, found: QuerySet[Any], *names: str) -> Iterable[dict[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Form:
    """One rubric version, seen from the question that gives the label.

    `kind` is None where the version does not ask that question.
    """

    rubric: str
    number: int
    digest: str
    policy: str
    policy_number: int
    question: Question | None
    clauses: Mapping[str, str]

    @property
    def kind(self) -> str | None:
        return self.question.kind if self.question else None


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of one dataset: question "" stands for the rubric's violation rule.

    `positives_only` are versions whose clauses are a part of the reference's: an old violation
    stands, an old "no violation" is unknown under the clauses that were added.
    """

    question: str
    type: str
    forms: Mapping[int, Form]
    positives_only: frozenset[int] = frozenset()

    def label(
        self, version: int, violation: bool | None, answers: Mapping[str, Any]
    ) -> int | float | str | None:
        """The label of answers given under a rubric version."""
        if not self.question:
            value: Any = violation
        else:
            value = answers.get(self.question)
        if value is None:
            return None
        if version in self.positives_only and not self._is_positive(version, violation, answers):
            return None
        return _as_type(value, self.type)

    def _is_positive(
        self, version: int, violation: bool | None, answers: Mapping[str, Any]
    ) -> bool:
        question = self.forms[version].question
        if not self.question or question is None:
            return bool(violation)
        return bool(violation_of([question], answers))


def versions_used(queue: ReviewQueue) -> QuerySet[RubricVersion]:
    """The rubric versions under which verdicts of a queue were given."""
    return RubricVersion.objects.filter(
        pk__in=Verdict.objects.filter(case__queue=queue).values("rubric_version")
    )


def read_forms(snapshot: Rows, used: QuerySet[RubricVersion], question: str) -> dict[int, Form]:
    """Rubric versions by id, as labels see them."""
    names = (
        "id",
        "number",
        "digest",
        "rubric__slug",
        "policy_version_id",
        "policy_version__number",
        "policy_version__policy__slug",
    )
    forms = {}
    for row in snapshot.rows(used.order_by("pk"), *names):
        asked = _find_question(snapshot, row["id"], question)
        digests = snapshot.rows(
            Clause.objects.filter(
                version=row["policy_version_id"], key__in=asked.clauses if asked else []
            ),
            "key",
            "digest",
        )
        forms[row["id"]] = Form(
            rubric=row["rubric__slug"],
            number=row["number"],
            digest=row["digest"],
            policy=row["policy_version__policy__slug"],
            policy_number=row["policy_version__number"],
            question=asked,
            clauses={clause["key"]: clause["digest"] for clause in digests},
        )
    return forms


def settle(
    forms: Mapping[int, Form],
    question: str,
    used: Iterable[int],
    *,
    at: str = "filters.rubric_version",
    remedy: str = "export one of them with the filter rubric_version",
) -> Labels:
    """The labels of the versions in use, compared with the latest of them.

    Args:
        at, remedy: the path of the error, and what its message advises.

    Raises:
        InvalidInput: two versions ask another kind of question, or rest on other words; the
            message names the clauses.
    """
    labelled = sorted(version for version in used if forms[version].question is not None)
    if not labelled:
        return Labels(question, "integer" if not question else "text", forms)
    latest = forms[labelled[-1]]

    def refused(form: Form, why: str) -> errors.InvalidInput:
        return errors.InvalidInput.at(
            at,
            f"version {form.number} of the rubric {form.rubric!r} is not comparable with version "
            f"{latest.number} ({why}): {remedy}",
            "not_comparable",
        )

    positives_only = set()
    for version in labelled[:-1]:
        form = forms[version]
        if question and form.kind != latest.kind:
            raise refused(form, f"another kind of question: {form.kind}")
        changed = sorted(
            key for key, digest in form.clauses.items() if latest.clauses.get(key) != digest
        )
        if changed:
            raise refused(form, f"other words in {', '.join(changed)}")
        added = sorted(latest.clauses.keys() - form.clauses.keys())
        if added and question and latest.question and latest.question.violation is None:
            raise refused(form, f"further clauses: {', '.join(added)}")
        if added:
            positives_only.add(version)
    return Labels(question, label_type(question, latest.kind), forms, frozenset(positives_only))


def label_type(question: str, kind: str | None) -> str:
    """The column type of a label."""
    return "integer" if not question else _TYPES.get(kind or "", "text")


def _find_question(snapshot: Rows, version: int, question: str) -> Question | None:
    found = Question.objects.filter(version=version)
    found = found.filter(key=question) if question else found.filter(violation__isnull=False)
    names = ("key", "kind", "options", "clauses", "violation")
    return next((Question(**row) for row in snapshot.rows(found, *names)), None)


def _as_type(value: Any, type_name: str) -> int | float | str:
    if type_name == "integer":
        return int(value)
    if type_name == "number":
        return float(value)
    return value if isinstance(value, str) else codec.canonical(value).decode()
