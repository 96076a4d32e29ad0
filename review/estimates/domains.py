"""Which records a figure speaks of, and which of them count as flagged. Pure: no database."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from django.db.models import Q
from django.db.models.fields.json import KeyTextTransform

from review.services.populations import SCORE_STEPS
from scoring.core.estimation.rounds import FLAGGED, OUTSIDE, UNFLAGGED


@dataclass(frozen=True, slots=True)
class Seen:
    """The part of a record that a domain looks at; `segment` is the value asked for, as text."""

    model_version: int
    scorer_version: int
    occurred_at: datetime
    segment: str | None
    tier: int
    score: float


@dataclass(frozen=True, slots=True)
class Threshold:
    """Flagged: of this tier or a higher one, or with a score of at least this."""

    tier: int | None = None
    score: float | None = None

    def __str__(self) -> str:
        return f"tier:{self.tier}" if self.score is None else f"score:{self.score:g}"

    @property
    def is_counted(self) -> bool:
        """Whether populations are counted at this very threshold."""
        return self.score is None or self.score == round(self.score * SCORE_STEPS) / SCORE_STEPS

    def flags(self, record: Seen) -> bool:
        """Whether a record is flagged."""
        if self.score is not None:
            return record.score >= self.score
        assert self.tier is not None
        return record.tier >= self.tier

    def to_q(self) -> Q:
        """The same as a condition on InferenceRecord."""
        return Q(tier__gte=self.tier) if self.score is None else Q(score__gte=self.score)


@dataclass(frozen=True, slots=True)
class Domain:
    """A part of the records: all conditions hold together, None is no condition."""

    model_versions: frozenset[int] | None = None
    scorer_versions: frozenset[int] | None = None
    segment: tuple[str, str] | None = None
    since: datetime | None = None
    until: datetime | None = None

    def within_a_day(self) -> str | None:
        """The limit that is not a whole day of UTC, by which populations are counted."""
        for name, moment in (("since", self.since), ("until", self.until)):
            if moment is not None and moment.astimezone(UTC).time() != time.min:
                return name
        return None

    def holds(self, record: Seen) -> bool:
        """Whether a record belongs to the domain."""
        return (
            (self.model_versions is None or record.model_version in self.model_versions)
            and (self.scorer_versions is None or record.scorer_version in self.scorer_versions)
            and (self.segment is None or record.segment == self.segment[1])
            and (self.since is None or record.occurred_at >= self.since)
            and (self.until is None or record.occurred_at < self.until)
        )

    def versions_q(self) -> Q:
        """The conditions on versions, on InferenceRecord or PopulationCount."""
        found = Q()
        if self.model_versions is not None:
            found &= Q(model_version__in=self.model_versions)
        if self.scorer_versions is not None:
            found &= Q(scorer_version__in=self.scorer_versions)
        return found

    def records_q(self) -> Q:
        """The domain as a condition on InferenceRecord annotated with `segment_value()`."""
        found = self.versions_q()
        if self.segment is not None:
            found &= Q(segment_text=self.segment[1])
        if self.since is not None:
            found &= Q(occurred_at__gte=self.since)
        if self.until is not None:
            found &= Q(occurred_at__lt=self.until)
        return found

    def days_q(self) -> Q:
        """The domain's days, segment and versions on PopulationCount."""
        found = self.versions_q()
        if self.since is not None:
            found &= Q(day__gte=self.since.astimezone(UTC).date())
        if self.until is not None:
            found &= Q(day__lte=(self.until.astimezone(UTC) - timedelta(microseconds=1)).date())
        return found

    def segment_value(self, context: str) -> KeyTextTransform:
        """The value of the domain's segment, as text, from a context column."""
        return KeyTextTransform(self.segment[0] if self.segment else "", context)


def place(record: Seen | None, domain: Domain, at: Threshold) -> int:
    """OUTSIDE, UNFLAGGED or FLAGGED, as estimators take it.

    A record of which nothing is known any more stands outside: it was erased between the draw's
    look at it and the copy of its evidence, and left the population with that.
    """
    if record is None or not domain.holds(record):
        return OUTSIDE
    return FLAGGED if at.flags(record) else UNFLAGGED
