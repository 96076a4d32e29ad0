"""Which windows of a model version wait to be compared, and at what level.

A comparison every window would sooner or later alarm without any drift, so the chance of that is
spent in proportion to time: over any period, the expected number of reports that alarm falsely is
at most its length over `MEAN_TIME_BETWEEN`, whatever depends on what. That holds because every
report keeps its own level; no report has to know what the others found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, QuerySet, Sum
from django.db.models.functions import Now

from oversight.tenancy.models import Project
from scoring.models import DriftReport, InferenceRecord, ModelVersion, Window, WindowShare
from scoring.services.drift import samples

MEAN_TIME_BETWEEN = timedelta(days=30)  # of reports of records, or of verdicts, that alarm falsely
AT_LEAST = timedelta(minutes=55)  # between two reports of a model version
FIRST = timedelta(days=1)  # what the first report of a model version may spend
HIGHEST_LEVEL = 0.05
MIN_RECORDS = 100
MOST_PERMUTATIONS = 9_999
_MOST_FAMILIES = 2
ACTIVE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Span:
    """The closed windows of a model version that no report has looked at.

    level: chance of a false alarm that the report may take, in (0, 1).
    """

    model: ModelVersion
    windows: Sequence[Window]
    n_records: int
    level: float

    @property
    def last(self) -> Window:
        return self.windows[-1]


def count_new_windows(project: Project) -> int:
    """Count the records per model version of windows not counted yet; returns how many windows."""
    uncounted = Window.objects.filter(project=project).exclude(
        Exists(WindowShare.objects.filter(window=OuterRef("pk")))
    )
    n = 0
    for window in uncounted.order_by("number"):
        batches = list(window.batches.values_list("pk", flat=True))
        found = samples.usable(InferenceRecord.objects.filter(project=project, batch__any=batches))
        counts = found.order_by().values_list("model_version").annotate(n=Count("*"))
        shares = [
            WindowShare(window=window, model_version_id=model, n_records=n) for model, n in counts
        ] or [WindowShare(window=window, model_version=None, n_records=0)]
        with transaction.atomic():
            WindowShare.objects.bulk_create(shares, ignore_conflicts=True)
        n += 1
    return n


def living_windows(project: Project, model: ModelVersion) -> QuerySet[Any]:
    """The windows whose records of a model version the project's retention keeps, in order.

    Each with `n_of_model`, how many were counted. What came in late into one may have gone.
    """
    retention = timedelta(days=project.retention_days)
    return (
        Window.objects.filter(project=project, closed_at__gt=Now() - retention)
        .filter(shares__model_version=model)
        .annotate(n_of_model=Sum("shares__n_records"))
        .order_by("number")
    )


def find_due(
    project: Project, model: ModelVersion, *, after: int, since: datetime | None
) -> Span | None:
    """The span of a model version's windows that no report looked at, where it is time to compare.

    Args:
        project: of the model version.
        model: whose windows.
        after: windows beyond this number count.
        since: windows closed after this time count.

    None where too few records wait, where the last report is too recent, or where so little of the
    false-alarm budget has accrued that no number of shuffles could use it.
    """
    shares = WindowShare.objects.filter(model_version=model)
    last = (
        DriftReport.objects.filter(model_version=model, kind=DriftReport.Kind.RECORDS)
        .select_related("window")
        .order_by("-pk")
        .first()
    )
    if last is not None:
        after = max(after, last.window.number)
    waiting = list(living_windows(project, model).filter(number__gt=after))
    if since is not None:
        waiting = [window for window in waiting if window.closed_at > since]
    n_records = sum(window.n_of_model for window in waiting)
    if n_records < MIN_RECORDS:
        return None
    elapsed = FIRST if last is None else waiting[-1].closed_at - last.window.closed_at
    active = shares.model.objects.filter(
        window__project=project, window__closed_at__gt=waiting[-1].closed_at - ACTIVE
    )
    n_models = active.exclude(model_version=None).values("model_version").distinct().count()
    level = min(HIGHEST_LEVEL, elapsed / MEAN_TIME_BETWEEN / max(1, n_models))
    if elapsed < AT_LEAST or level * (MOST_PERMUTATIONS + 1) < 2 * _MOST_FAMILIES:
        return None
    return Span(model=model, windows=waiting, n_records=n_records, level=level)
