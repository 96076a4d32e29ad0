"""The finished part of each round: what was drawn, with which probability, and what was said.

A round is served in descending key order, so its finished prefix is a draw of its own (METHODS
11.2). Everything here is one query for the rounds and one for their selections.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, cast
from uuid import UUID

import numpy as np
import numpy.typing as npt
from django.db.models import F, OuterRef, Subquery, Sum
from django.db.models.functions import JSONObject

from review.estimates.domains import Domain, Seen
from review.models import Case, CaseResolution, ReviewQueue, SamplingRound, Selection, Verdict
from scoring.core import sampling
from scoring.core.estimation.rounds import floor_testimony

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# What a label is made of, as one JSON value of the latest resolution.
RESOLUTION = {
    name: name for name in ("rule", "violation", "answers", "rubric_version_id", "n_verdicts")
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """One selection with its record's scores and the latest resolution of its case, if any."""

    round_id: int
    position: int
    record_id: UUID
    case_id: UUID
    gain: float
    key: float
    exponential: float
    inclusion_probability: float
    is_resolved: bool
    seconds: float | None
    resolution: dict[str, Any] | None
    seen: Seen


@dataclass(frozen=True, slots=True)
class FinishedRound:
    """A round as far as it is finished.

    Attributes:
        rows: of the finished prefix, in serving order.
        threshold, threshold_exponential: of the first record outside the prefix.
    """

    made: SamplingRound
    rows: Sequence[Drawn]
    threshold: float
    threshold_exponential: float

    @property
    def is_whole(self) -> bool:
        return len(self.rows) == self.made.n_selected

    def cut(self, n_finished: int) -> "FinishedRound":
        """The same round when only `n_finished` of its cases had been finished."""
        if n_finished >= len(self.rows):
            return self
        following = self.rows[n_finished]
        return FinishedRound(
            self.made, self.rows[:n_finished], following.key, following.exponential
        )

    def inclusion_probabilities(self) -> FloatArray:
        """Exact q of the prefix, float64 (n_rows,)."""
        if self.is_whole:
            return np.array([row.inclusion_probability for row in self.rows])
        gains = np.array([row.gain for row in self.rows])
        return sampling.inclusion_probabilities(
            self.made.tau * gains - (self.made.log_normalizer or 0.0),
            np.full(gains.size, self.made.floor_hazard),
            self.threshold,
            self.threshold_exponential,
        )

    def floor_testimony(self) -> tuple[BoolArray, float]:
        """Which rows came in whatever their gain, bool (n_rows,), and by which hazard."""
        return floor_testimony(
            np.array([row.exponential for row in self.rows]),
            self.made.floor_hazard,
            self.threshold,
            self.threshold_exponential,
            # No gain is negative, so no candidate's share of the softmax is below that of gain 0.
            least_log_softmax=-(self.made.log_normalizer or 0.0),
        )


def rounds_of(queue: ReviewQueue) -> list[SamplingRound]:
    """The queue's rounds in the order they were drawn."""
    return list(SamplingRound.objects.filter(queue=queue).select_related("window").order_by("pk"))


def finished(rounds: Iterable[SamplingRound], domain: Domain) -> list[FinishedRound]:
    """The finished prefixes of rounds, in their order; a round with none of it done is absent."""
    by_id = {made.pk: made for made in rounds}
    found = []
    for round_id, rows in groupby(_drawn(list(by_id), domain), key=attrgetter("round_id")):
        one = _prefix(by_id[round_id], list(rows))
        if one.rows:
            found.append(one)
    return found


def _prefix(made: SamplingRound, rows: list[Drawn]) -> FinishedRound:
    length = next((row.position for row in rows if not row.is_resolved), len(rows))
    if length < len(rows):
        return FinishedRound(made, rows[:length], rows[length].key, rows[length].exponential)
    threshold = {"finite": made.threshold, "floor": math.inf, "taken": -math.inf}
    exponential = made.threshold_exponential
    last = threshold[made.threshold_kind]
    assert last is not None
    return FinishedRound(made, rows, last, math.nan if exponential is None else exponential)


def _drawn(round_ids: list[int], domain: Domain) -> Iterator[Drawn]:
    resolutions = (
        CaseResolution.objects.filter(case=OuterRef("case__pk"))
        .order_by("-number")
        .values(found=JSONObject(**RESOLUTION))
    )
    seconds = (
        Verdict.objects.filter(case=OuterRef("case__pk"))
        .order_by()
        .values("case")
        .annotate(total=Sum("seconds"))
        .values("total")
    )
    rows = (
        Selection.objects.filter(round__in=round_ids)
        .annotate(
            segment=domain.segment_value("case__evidence__context"),
            resolution=Subquery(resolutions[:1]),
            seconds=Subquery(seconds),
            model=F("case__evidence__model_version_id"),
            scorer=F("case__evidence__scorer_version_id"),
        )
        .order_by("round_id", "position")
        .values_list(
            *("round_id", "position", "record_id", "gain", "key", "exponential"),
            *("case__pk", "inclusion_probability", "case__state", "seconds", "resolution"),
            *("model", "scorer", "case__evidence__occurred_at", "segment"),
            *("case__evidence__tier", "case__evidence__score"),
        )
    )
    for row in cast("Iterable[Any]", rows.iterator()):
        round_id, position, record_id, gain, key, exponential, case_id, *rest = row
        yield Drawn(
            round_id=round_id,
            position=position,
            record_id=record_id,
            case_id=case_id,
            gain=gain,
            key=math.inf if key is None else key,  # a floor hit, whose key is +∞
            exponential=exponential,
            inclusion_probability=rest[0],
            is_resolved=rest[1] == Case.State.RESOLVED,
            seconds=rest[2],
            resolution=rest[3],
            seen=Seen(*rest[4:]),
        )
