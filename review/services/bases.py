"""What the gains of a round rest on: a posterior or the cold start, the scorer, what has drifted.

Chosen when a round is drawn, found again when it is verified.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from oversight.tenancy.actors import Actor
from review.beliefs.moments import Belief, ColdStart
from review.models import PosteriorVersion, ReviewQueue, SamplingRound
from review.services import draws, posteriors
from scoring.models import ScorerVersion
from scoring.services import scorers

MOST_SHIFTS = 8  # the gravest; each is a column of the scan
LARGEST_BOOST = 4.0  # factor of a segment that has become entirely another


class Shift(Protocol):
    """A segment that has moved: `region` or a context field; both empty for all records."""

    @property
    def name(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def model_version(self) -> int | None: ...
    @property
    def severity(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Basis:
    """What the gains of one round rest on.

    Attributes:
        number: of the posterior version; None at cold start.
        shifts: as `draws.Design` takes them.
    """

    belief: Belief
    number: int | None
    scorer_version: ScorerVersion
    base_rate: float
    shifts: Sequence[Mapping[str, Any]]


def for_draw(actor: Actor, *, queue: ReviewQueue, shifts: Iterable[Shift] = ()) -> Basis:
    """The basis of the next round: the posterior brought up to date, what drifts now."""
    version = posteriors.refresh(actor, queue=queue)
    told = boosts(shifts)
    if version is None:
        return _cold(scorers.current_version(queue.project), draws.DEFAULT_BASE_RATE, told)
    return _learned(version, version.base_rate, told)


def of_round(made: SamplingRound) -> Basis:
    """The basis of a stored round."""
    if made.posterior_version is None:
        assert made.scorer_version is not None
        return _cold(made.scorer_version, made.base_rate, made.shifts)
    version = PosteriorVersion.objects.select_related("space__scorer_version__scorer").get(
        queue=made.queue_id, number=made.posterior_version
    )
    return _learned(version, made.base_rate, made.shifts)


def boosts(shifts: Iterable[Shift]) -> list[dict[str, Any]]:
    """The gravest shifts, with the factor by which each raises its segment's share."""
    gravest = sorted(shifts, key=lambda one: (-one.severity, one.name, one.value))
    return [
        {
            "name": shift.name,
            "value": shift.value,
            "model_version": shift.model_version,
            "severity": shift.severity,
            "factor": round(1.0 + (LARGEST_BOOST - 1.0) * min(max(shift.severity, 0.0), 1.0), 6),
        }
        for shift in gravest[:MOST_SHIFTS]
    ]


def _cold(version: ScorerVersion, base_rate: float, shifts: Sequence[Mapping[str, Any]]) -> Basis:
    return Basis(ColdStart(), None, version, base_rate, shifts)


def _learned(
    version: PosteriorVersion, base_rate: float, shifts: Sequence[Mapping[str, Any]]
) -> Basis:
    return Basis(
        posteriors.load(version),
        version.number,
        version.space.scorer_version,
        base_rate,
        shifts,
    )
