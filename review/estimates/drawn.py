"""The finished part of each round: what was drawn, with which probability, and what was said.

A round is served in descending key order, so its finished prefix is a draw of its own (METHODS
11.2); review/selectors/finished_rounds.py says how far each is finished.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import Any, cast
from uuid import UUID

import numpy as np
import numpy.typing as npt
from django.db.models import F, OuterRef, Subquery, Sum
from django.db.models.functions import JSONObject

from review.estimates.domains import Domain, Seen
from review.models import CaseResolution, ReviewQueue, SamplingRound, Selection, Verdict
from review.selectors import finished_rounds
from review.selectors.finished_rounds import FinishedRound
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
    case_id: UUID | None
    gain: float
    key: float
    exponential: float
    inclusion_probability: float
    seconds: float | None
    resolution: dict[str, Any] | None
    seen: Seen | None


@dataclass(frozen=True, slots=True)
class Told:
    """The finished prefix of a round with what was said of its records.

    Attributes:
        state: how far the round is finished; its prefix is the number of rows.
        rows: in serving order.
    """

    made: SamplingRound
    state: FinishedRound
    rows: Sequence[Drawn]

    def cut(self, n_finished: int) -> "Told":
        """The same round when only `n_finished` of its cases had been finished."""
        if n_finished >= len(self.rows):
            return self
        following = self.rows[n_finished]
        state = replace(
            self.state,
            prefix=n_finished,
            threshold=following.key,
            threshold_exponential=following.exponential,
        )
        return Told(self.made, state, self.rows[:n_finished])

    def inclusion_probabilities(self) -> FloatArray:
        """Exact q of the prefix, float64 (n_rows,)."""
        return self.state.inclusion_probabilities(
            np.array([row.gain for row in self.rows]),
            np.array([row.inclusion_probability for row in self.rows]),
        )

    def floor_testimony(self) -> tuple[BoolArray, float]:
        """Which rows came in whatever their gain, bool (n_rows,), and by which hazard."""
        return floor_testimony(
            np.array([row.exponential for row in self.rows]),
            self.state.floor_hazard,
            self.state.threshold,
            self.state.threshold_exponential,
            # No gain is negative, so no candidate's share of the softmax is below that of gain 0.
            least_log_softmax=-self.state.log_normalizer,
        )


def rounds_of(queue: ReviewQueue) -> list[SamplingRound]:
    """The queue's rounds in the order they were drawn."""
    return list(SamplingRound.objects.filter(queue=queue).select_related("window").order_by("pk"))


def finished(queue: ReviewQueue, rounds: Iterable[SamplingRound], domain: Domain) -> list[Told]:
    """The finished prefixes of rounds, in their order; a round with none of it done is absent."""
    by_id = {made.pk: made for made in rounds}
    states = finished_rounds.finish(
        finished_rounds.stored_rounds(queue).values(*finished_rounds.FIELDS)
    )
    begun = [pk for pk in by_id if states[pk].prefix]
    found = []
    for round_id, group in groupby(_drawn(begun, domain), key=attrgetter("round_id")):
        state = states[round_id]
        rows = [row for row in group if row.position < state.prefix]
        found.append(Told(by_id[round_id], state, rows))
    return found


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
            *("case__pk", "inclusion_probability", "seconds", "resolution"),
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
            seconds=rest[1],
            resolution=rest[2],
            # Erased before its case could be made: nobody knows its domain or its label.
            seen=None if rest[3] is None else Seen(*rest[3:]),
        )
