"""Records that a person had asked about before the draw: a stratum of their own, with weight 1.

Whoever is escalated after the draw of their window stays with what chance says of them: to take
out of a sample what somebody looked at because it was drawn would bend the figure.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Case as Choose
from django.db.models import CharField, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import JSONObject

from oversight.lib import codec
from review import filters
from review.estimates.answers import Reading
from review.estimates.ask import Ask
from review.estimates.domains import Seen, place
from review.estimates.drawn import RESOLUTION
from review.estimates.populations import Cell
from review.models import Case, CaseResolution, SamplingRound
from review.models.queues import Stratum
from review.services.populations import reviewable
from review.strata import stratum_rule
from scoring.core.estimation.rounds import OUTSIDE, Window, census
from scoring.models import InferenceRecord, IngestBatch


@dataclass(frozen=True, slots=True)
class Certain:
    """Records taken with certainty, by the cell whose population they belong to.

    Attributes:
        labels: what the cases of the domain came to, by case, with their domains.
        repeated: the cases among them that several people answered.
    """

    records: Mapping[Cell, frozenset[UUID]]
    by_domain: Mapping[Cell, Counter[int]]
    labels: Mapping[UUID, tuple[float, int]]
    repeated: Collection[UUID]

    def window(self, instead: Mapping[UUID, float]) -> Window | None:
        """The stratum that they are; `instead` replaces labels by case. None where it is empty."""
        if not self.labels:
            return None
        return census(
            [instead.get(case, label) for case, (label, _) in self.labels.items()],
            [domain for _, domain in self.labels.values()],
        )

    def records_in(self, cell: Cell) -> frozenset[UUID]:
        return self.records.get(cell, frozenset())

    def n_in(self, cell: Cell, domain: int) -> int:
        """How many of a cell's records of a domain are counted here and not there."""
        return self.by_domain.get(cell, Counter())[domain]


def escalated(ask: Ask, covered: Mapping[Cell, SamplingRound], reading: Reading) -> Certain:
    """The resolved escalations of the queue that came before the draw of their cell.

    Args:
        covered: the first round of each cell that the figure speaks of.
    """
    asked = {row[0]: row for row in _cases(ask)}
    records: dict[Cell, set[UUID]] = defaultdict(set)
    by_domain: dict[Cell, Counter[int]] = defaultdict(Counter)
    labels: dict[UUID, tuple[float, int]] = {}
    repeated = set()
    for record_id, cell in _cells(ask, covered, list(asked)):
        _, case, asked_at, resolution, *seen = asked[record_id]
        if asked_at >= covered[cell].created_at:
            continue
        records[cell].add(record_id)
        domain = place(Seen(*seen), ask.domain, ask.at)
        if domain != OUTSIDE:
            by_domain[cell][domain] += 1
            labels[case] = reading.of(resolution), domain
            if resolution["n_verdicts"] > 1:
                repeated.add(case)
    return Certain(
        {cell: frozenset(ids) for cell, ids in records.items()}, by_domain, labels, repeated
    )


def _cases(ask: Ask) -> QuerySet[Case, Any]:
    latest = (
        CaseResolution.objects.filter(case=OuterRef("pk"))
        .order_by("-number")
        .values(found=JSONObject(**RESOLUTION))
    )
    return (
        Case.objects.filter(queue=ask.queue, kind=Case.Kind.ESCALATED, state=Case.State.RESOLVED)
        .annotate(
            segment=ask.domain.segment_value("evidence__context"),
            resolution=Subquery(latest[:1]),
        )
        .values_list(
            *("evidence__record_id", "pk", "created_at", "resolution"),
            *("evidence__model_version_id", "evidence__scorer_version_id"),
            *("evidence__occurred_at", "segment", "evidence__tier", "evidence__score"),
        )
    )


def _cells(
    ask: Ask, covered: Mapping[Cell, SamplingRound], record_ids: list[UUID]
) -> list[tuple[UUID, Cell]]:
    """The covered cell of each record that the draw over it could choose."""
    if not record_ids:
        return []
    named = [When(stratum_rule(one) & reviewable(), then=Value(str(one))) for one in Stratum]
    found = []
    for record_filter in {codec.canonical(one.filter): one.filter for one in covered.values()}:
        rule = codec.decode(record_filter)
        rows = list(
            InferenceRecord.objects.of(ask.queue.project)
            .filter(filters.to_q(ask.queue.project, rule), reviewable(), pk__in=record_ids)
            .annotate(stratum=Choose(*named, output_field=CharField()))
            .values_list("pk", "batch_id", "stratum")
        )
        windows = dict(
            IngestBatch.objects.filter(pk__in={row[1] for row in rows}).values_list(
                "pk", "window_id"
            )
        )
        for record_id, batch, stratum in rows:
            cell = windows.get(batch) or 0, stratum
            if cell in covered and covered[cell].filter == rule:
                found.append((record_id, cell))
    return found
