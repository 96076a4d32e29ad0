"""How many records of a domain each stratum of each window holds, and how many are flagged.

The counts made at the draw answer whole days, counted thresholds and segments of few values.
Anything finer is counted among the records themselves, while these are few enough for a request.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Case as Choose
from django.db.models import CharField, Count, F, Q, Sum, Value, When

from oversight.lib import codec, errors
from review import filters
from review.estimates.domains import Domain, Threshold
from review.models import PopulationCount, ReviewQueue, SamplingRound
from review.models.populations import WITHHELD
from review.models.queues import Stratum
from review.services.populations import SCORE_STEPS, reviewable
from review.strata import stratum_rule
from scoring.models import InferenceRecord, IngestBatch

SCAN_LIMIT = 200_000  # records that a request may count anew

Cell = tuple[int, str]  # window id, stratum


@dataclass(frozen=True, slots=True)
class Size:
    """Records of a domain: all, and the flagged among them."""

    n: int
    flagged: int

    @property
    def by_domain(self) -> tuple[int, int]:
        """Unflagged and flagged, as estimators take them."""
        return self.n - self.flagged, self.flagged


def sizes(
    queue: ReviewQueue, rounds: Iterable[SamplingRound], domain: Domain, at: Threshold
) -> dict[Cell, Size]:
    """Sizes per window and stratum, `WITHHELD` among the strata; cells without records are absent.

    Args:
        rounds: of the queue, whose windows are asked about.

    Raises:
        InvalidInput: finer than what is counted, over more records than a request may scan.
    """
    made = list(rounds)
    if not made:
        return {}
    finer = _finer_than_counted(queue, made, domain, at)
    if finer is None:
        return _counted(queue, domain, at)
    n_records = sum(one.n_candidates for one in made if one.number == 1)
    if n_records > SCAN_LIMIT:
        raise errors.InvalidInput.at(
            finer[0],
            f"{finer[1]}; finer only up to {SCAN_LIMIT:,} records, and these are {n_records:,}",
            "too_fine",
        )
    if _some_are_gone(queue, made):
        raise errors.InvalidInput.at(
            finer[0], f"{finer[1]}; the records themselves are partly deleted", "too_fine"
        )
    return _scanned(queue, made, domain, at)


def _finer_than_counted(
    queue: ReviewQueue, rounds: list[SamplingRound], domain: Domain, at: Threshold
) -> tuple[str, str] | None:
    """The parameter that the counts cannot answer, and what they can."""
    drawn = {one.window_id for one in rounds if one.n_candidates}
    counted = PopulationCount.objects.filter(queue=queue, window__in=drawn)
    if drawn - set(counted.values_list("window_id", flat=True).distinct()):
        return "queue", "some of its windows are not counted, or not yet"
    if (limit := domain.within_a_day()) is not None:
        return limit, "times are counted by whole days of UTC"
    if not at.is_counted:
        return "at", f"scores are counted in steps of {1 / SCORE_STEPS}"
    if domain.segment is not None:
        many = PopulationCount.objects.filter(
            queue=queue, segment=domain.segment[0], value__isnull=True
        )
        if many.exists():
            return "segment", "this segment has too many values to be counted by each"
    return None


def _some_are_gone(queue: ReviewQueue, rounds: list[SamplingRound]) -> bool:
    """Whether retention has deleted records of the rounds' windows since their draw."""
    windows = {one.window_id for one in rounds}
    batches = IngestBatch.objects.filter(window__in=windows)
    stored = InferenceRecord.objects.filter(
        project=queue.project_id, batch__any=list(batches.values_list("pk", flat=True))
    )
    received = batches.aggregate(n=Sum("n_records"))["n"] or 0
    return stored.count() < received


def _counted(queue: ReviewQueue, domain: Domain, at: Threshold) -> dict[Cell, Size]:
    segment, value = domain.segment or ("", "")
    reached = (
        f"at_tier__{at.tier}" if at.score is None else f"at_score__{round(at.score * SCORE_STEPS)}"
    )
    rows = (
        PopulationCount.objects.filter(domain.days_q(), queue=queue, segment=segment, value=value)
        .order_by()
        .values("window_id", "stratum")
        .annotate(total=Sum("n"), reached=Sum(F(reached)))
    )
    return {
        (row["window_id"], row["stratum"]): Size(int(row["total"]), int(row["reached"]))
        for row in rows
    }


def _scanned(
    queue: ReviewQueue, rounds: list[SamplingRound], domain: Domain, at: Threshold
) -> dict[Cell, Size]:
    """The same from the records; a queue's filter may have changed between its rounds."""
    by_filter: dict[bytes, tuple[dict[str, Any], set[int]]] = {}
    for one in rounds:
        entry = by_filter.setdefault(codec.canonical(one.filter), (one.filter, set()))
        entry[1].add(one.window_id)
    windows = dict(
        IngestBatch.objects.filter(window__in={one.window_id for one in rounds}).values_list(
            "pk", "window_id"
        )
    )
    found: dict[Cell, Size] = defaultdict(lambda: Size(0, 0))
    for record_filter, own in by_filter.values():
        batches = [batch for batch, window in windows.items() if window in own]
        for row in _scan(queue, record_filter, batches, domain, at):
            cell = windows[row["batch_id"]], row["stratum"]
            held = found[cell]
            found[cell] = Size(held.n + row["n"], held.flagged + row["flagged"])
    return dict(found)


def _scan(
    queue: ReviewQueue,
    record_filter: dict[str, Any],
    batches: list[int],
    domain: Domain,
    at: Threshold,
) -> list[dict[str, Any]]:
    named = [When(stratum_rule(one) & reviewable(), then=Value(str(one))) for one in Stratum]
    rows: Any = (
        InferenceRecord.objects.within(domain.since, domain.until)
        .filter(filters.to_q(queue.project, record_filter), project=queue.project_id)
        .filter(reviewable() | Q(may_review=False), batch__any=batches)
        .annotate(segment_text=domain.segment_value("context"))
        .filter(domain.records_q())
        .order_by()
        .annotate(stratum=Choose(*named, default=Value(WITHHELD), output_field=CharField()))
        .values("batch_id", "stratum")
        .annotate(n=Count("pk"), flagged=Count("pk", filter=at.to_q()))
    )
    return list(rows)
