"""The finished part of every round of a queue, and how the rounds of one stratum are combined.

Three rules make every figure unbiased, whoever answers how much:

1. A round is served in descending key order. What is resolved from its first selection on is a draw
   of its own, whose threshold κ' is the key of the first selection outside (METHODS 11.2).
2. A round may be cut: beyond the cut, cases that nobody has begun are withdrawn, and the round is
   over at that length. Where the cut falls depends on the pace of reviewers and the clock, like the
   end of any prefix; it never depends on a label.
3. The candidates of round t are the stratum's records outside the first ``end_s`` selections of
   every earlier round s, where ``end_s`` is the cut of s, or all of its selections. Drawing round t
   cuts the earlier ones in the same transaction, and cuts them no shorter ever after.

Let L be the records inside the ends of rounds before t, all of them labelled, and U the rest. Given
all that happened before, ``Σ_{S_t} y/q`` is unbiased for the total over U: fresh uniforms, gains
fixed before them. So ``T̂_t = Σ_L y + Σ_{S_t} y/q`` is unbiased for the total over the stratum, and
so is ``Σ ω_t T̂_t`` with weights that sum to 1 and look at sizes alone (METHODS 3, batch LURE).
T̂_t needs the labels of L. While an earlier round is unfinished within its end, the later ones
therefore wait: they count as not begun (``prefix`` 0). Had the pool of round t left out everything
*selected* before, instead of what lies inside the ends, then withdrawn records would belong to no
round's population, and the estimate would miss them.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db.models import Exists, F, Min, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, JSONObject

from review.models import Case, CaseResolution, ReviewQueue, RoundCut, SamplingRound, Selection
from scoring.core import sampling
from scoring.core.estimation.totals import round_weights

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FIELDS = (
    *("id", "window_id", "stratum", "number", "n_candidates", "n_selected"),
    *("tau", "log_normalizer", "floor_hazard"),
    *("threshold", "threshold_kind", "threshold_exponential", "cut", "unfinished", "beyond"),
)


@dataclass(frozen=True, slots=True)
class FinishedRound:
    """A stored round as far as it is finished, and its part in the stratum's estimate.

    Attributes:
        end: selections that the round has in the end: all, or those before its cut.
        prefix: selections from the first on that are resolved; 0 while an earlier round is not
            finished to its end.
        threshold, threshold_exponential: κ and E of the first selection outside the prefix;
            -inf where every candidate is in, +inf where it came in by the floor.
        omega: weight ω_t of the round's own estimate; those of a stratum sum to 1, or are 0 where
            nothing is finished.
        later: Σ ω_s over later rounds s, in each of which a record of this one counts once.
    """

    round_id: int
    window_id: int
    stratum: str
    number: int
    n_candidates: int
    n_selected: int
    tau: float
    log_normalizer: float
    floor_hazard: float
    end: int
    prefix: int
    threshold: float
    threshold_exponential: float
    omega: float = 1.0
    later: float = 0.0

    @property
    def is_whole(self) -> bool:
        """Every selection is finished, so that the stored probabilities hold."""
        return self.prefix == self.n_selected

    def inclusion_probabilities(self, gains: FloatArray, stored: FloatArray) -> FloatArray:
        """q under the prefix's threshold, of selections inside it.

        Args:
            gains: quantised, as stored, float64 (n,).
            stored: inclusion probabilities of the whole round, float64 (n,).
        """
        if self.is_whole:
            return stored
        return sampling.inclusion_probabilities(
            self.tau * gains - self.log_normalizer,
            np.full(gains.size, self.floor_hazard),
            self.threshold,
            self.threshold_exponential,
        )

    def weights(self, positions: IntArray, gains: FloatArray, stored: FloatArray) -> FloatArray:
        """``ω_t/q + Σ_{s>t} ω_s`` of selections of this round, 0 beyond the prefix.

        Args:
            positions: in serving order, from 0, int64 (n,).
            gains, stored: as `inclusion_probabilities` takes them.
        """
        inside = positions < self.prefix
        q = self.inclusion_probabilities(gains, stored)
        return np.where(inside, self.omega / np.where(inside, q, 1.0) + self.later, 0.0)


@dataclass(frozen=True, slots=True)
class FinishedStratum:
    """The rounds over one stratum of one window, in the order they were drawn.

    Attributes:
        n_records: N, the candidates of the first round.
        case_ids: per round, the cases inside its prefix in serving order.
        n_unresolved: per round, selections inside the prefix without a label: ties, and records
            that were gone before a case could be made of them.
        n_waiting: cases that are still to be answered before all rounds are finished.
    """

    queue_id: int
    window_id: int
    stratum: str
    n_records: int
    rounds: tuple[FinishedRound, ...]
    case_ids: tuple[tuple[Any, ...], ...]
    n_unresolved: tuple[int, ...]
    n_waiting: int


def finished_strata(queue: ReviewQueue) -> list[FinishedStratum]:
    """Every stratum of every window that the queue has drawn, by window and stratum."""
    rounds = finish(stored_rounds(queue).values(*FIELDS))
    cases = _cases_inside(rounds)
    found = []
    for (window, stratum), members in groupby(
        sorted(rounds.values(), key=_place), key=lambda one: (one.window_id, one.stratum)
    ):
        own = tuple(members)
        inside = [cases.get(one.round_id, []) for one in own]
        known = [sum(has_label for _, has_label in rows) for rows in inside]
        found.append(
            FinishedStratum(
                queue_id=queue.pk,
                window_id=window,
                stratum=stratum,
                n_records=own[0].n_candidates,
                rounds=own,
                case_ids=tuple(tuple(case for case, _ in rows) for rows in inside),
                n_unresolved=tuple(one.prefix - n for one, n in zip(own, known, strict=True)),
                n_waiting=_n_waiting([one.round_id for one in own]),
            )
        )
    return found


def stored_rounds(queue: ReviewQueue) -> QuerySet[SamplingRound]:
    """The queue's rounds with what `finish` needs of their selections."""
    # A record that was gone before its case was made is passed over: nobody can answer it.
    undone = (
        Selection.objects.filter(round=OuterRef("pk"))
        .filter(
            Exists(Case.objects.filter(selection=OuterRef("pk")).exclude(state=Case.State.RESOLVED))
        )
        .order_by("position")
        .values(found=_outside())
    )
    beyond = (
        Selection.objects.filter(round=OuterRef("pk"), position=OuterRef("cut"))
        .order_by()
        .values(found=_outside())
    )
    return (
        SamplingRound.objects.filter(queue=queue)
        .annotate(cut=cut_of("pk"))
        .annotate(unfinished=Subquery(undone[:1]), beyond=Subquery(beyond[:1]))
        .order_by("pk")
    )


def cut_of(round_path: str) -> Subquery:
    """The shortest cut of a round, None where it has none."""
    cuts = RoundCut.objects.filter(round=OuterRef(round_path)).order_by().values("round")
    return Subquery(cuts.annotate(least=Min("length")).values("least"))


def taken_before(made: SamplingRound) -> QuerySet[Selection]:
    """The selections that left the stratum's pool before a round was drawn."""
    return taken(made.queue_id, made.window_id, made.stratum).filter(round__number__lt=made.number)


def taken(queue_id: int, window_id: int, stratum: str) -> QuerySet[Selection]:
    """The selections inside the ends of a stratum's rounds."""
    return (
        Selection.objects.filter(
            round__queue=queue_id, round__window=window_id, round__stratum=stratum
        )
        .annotate(end=Coalesce(cut_of("round"), "round__n_selected"))
        .filter(position__lt=F("end"))
    )


def finish(rows: Iterable[Mapping[str, Any]]) -> dict[int, FinishedRound]:
    """Stored rounds with `FIELDS`, as far as they are finished, by id."""
    found = {}
    ordered = sorted((_own(row) for row in rows), key=_place)
    for _, members in groupby(ordered, key=lambda one: (one.window_id, one.stratum)):
        found.update({one.round_id: one for one in combine(list(members))})
    return found


def combine(rounds: Sequence[FinishedRound]) -> list[FinishedRound]:
    """Rounds over one stratum, in the order they were drawn, with their ω."""
    sizes: list[int] = []
    is_open = False
    for one in rounds:
        sizes.append(0 if is_open else one.prefix)
        is_open = is_open or one.prefix < one.end
    weights = round_weights(max(rounds[0].n_candidates, sum(sizes)), sizes)
    if not sum(sizes):
        weights = np.zeros(len(rounds))
    later = np.cumsum(weights[::-1])[::-1] - weights
    return [
        replace(one, prefix=size, omega=float(weight), later=float(rest))
        for one, size, weight, rest in zip(rounds, sizes, weights, later, strict=True)
    ]


def _own(row: Mapping[str, Any]) -> FinishedRound:
    """One round by itself: its own prefix, whatever the others are at."""
    end = row["n_selected"] if row["cut"] is None else min(row["cut"], row["n_selected"])
    outside = row["unfinished"]
    if outside is None or outside["position"] >= end:
        prefix, outside = end, row["beyond"]
    else:
        prefix = outside["position"]
    if prefix == row["n_selected"]:
        ends = {"taken": -math.inf, "floor": math.inf}
        threshold = ends.get(row["threshold_kind"], row["threshold"])
        exponential = row["threshold_exponential"]
    else:
        threshold, exponential = outside["key"], outside["exponential"]
        threshold = math.inf if threshold is None else threshold  # a floor hit
    return FinishedRound(
        round_id=row["id"],
        window_id=row["window_id"],
        stratum=row["stratum"],
        number=row["number"],
        n_candidates=row["n_candidates"],
        n_selected=row["n_selected"],
        tau=row["tau"],
        log_normalizer=row["log_normalizer"] or 0.0,
        floor_hazard=row["floor_hazard"],
        end=end,
        prefix=prefix,
        threshold=threshold,
        threshold_exponential=math.nan if exponential is None else exponential,
    )


def _place(one: FinishedRound) -> tuple[int, str, int]:
    return one.window_id, one.stratum, one.number


def _outside() -> JSONObject:
    return JSONObject(position="position", key="key", exponential="exponential")


def _cases_inside(rounds: Mapping[int, FinishedRound]) -> dict[int, list[tuple[Any, bool]]]:
    """Per round the cases inside its prefix, and whether each has a label."""
    latest = CaseResolution.objects.filter(case=OuterRef("pk")).order_by("-number")
    rows = (
        Case.objects.filter(selection__round__in=rounds, state=Case.State.RESOLVED)
        .annotate(label=Subquery(latest.values("violation")[:1]))
        .order_by("selection__round_id", "selection__position")
        .values_list("pk", "selection__round_id", "selection__position", "label")
    )
    found: dict[int, list[tuple[Any, bool]]] = {}
    for case, round_id, position, label in rows:
        if position < rounds[round_id].prefix:
            found.setdefault(round_id, []).append((case, label is not None))
    return found


def _n_waiting(round_ids: Sequence[int]) -> int:
    return Case.objects.filter(selection__round__in=round_ids, state=Case.State.OPEN).count()
