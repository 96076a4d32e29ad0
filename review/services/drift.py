"""Drift with what reviewers say: confirmed violations kept out of baselines, and verdict rates.

The reference of a verdict rate is the first windows judged under a rubric version that suffice;
labels of other rubric versions are not pooled with them. Each queue and model version has reports
of its own, and waits for no other; together they alarm falsely at most once in
`spans.MEAN_TIME_BETWEEN` on average.
"""

from bisect import bisect_right
from collections.abc import Sequence
from uuid import UUID

import numpy as np

from oversight.tenancy.actors import Actor
from oversight.tenancy.models import Project
from review.models import CaseResolution, ReviewQueue
from review.selectors import judged_windows
from review.selectors.judged_windows import Judged, Source
from scoring.models import DriftReport, ModelVersion, Window, WindowShare
from scoring.services.drift import runs, samples, spans, verdict_rates
from scoring.services.drift.verdict_rates import Verdicts

MIN_REFERENCE = 100
MIN_COMPARED = 50
MOST_WINDOWS = 500  # in a report, where they hold enough


def run(actor: Actor) -> list[DriftReport]:
    """Every drift report that is due in the actor's project; safe to run twice."""
    made = runs.run(actor, confirmed=confirmed_violations)
    for queue in ReviewQueue.objects.filter(project=actor.project).order_by("pk"):
        made += report_verdicts(actor, queue=queue)
    return made


def confirmed_violations(project: Project, ids: list[UUID]) -> set[UUID]:
    """Which of the records reviewers have confirmed as violations."""
    found = CaseResolution.objects.filter(
        violation=True, case__evidence__project=project, case__evidence__record_id__in=ids
    )
    return set(found.values_list("case__evidence__record_id", flat=True))


def report_verdicts(actor: Actor, *, queue: ReviewQueue) -> list[DriftReport]:
    """Compare what was found in the queue's settled windows since each model version's report."""
    unsettled = judged_windows.unsettled(queue)
    reports = []
    for model in ModelVersion.objects.filter(project=actor.project).order_by("pk"):
        last = verdict_rates.last_report(model, queue.slug)
        after = 0 if last is None else last.window.number
        newer = WindowShare.objects.filter(model_version=model, window__number__gt=after)
        report = _report(actor, queue, model, last, unsettled) if newer.exists() else None
        if report is not None:
            reports.append(report)
    return reports


def _report(
    actor: Actor,
    queue: ReviewQueue,
    model: ModelVersion,
    last: DriftReport | None,
    unsettled: Sequence[int],
) -> DriftReport | None:
    after = 0 if last is None else last.window.number
    before = _first_beyond(unsettled, after)
    form = judged_windows.newest_form(queue, model, after=after, before=before)
    if form is None:
        return None
    source = Source(queue, model, form)
    if judged_windows.n_judged(source, after=after, before=before) < MIN_COMPARED:
        return None
    reference, through = _reference(source, unsettled)
    if len(reference) < MIN_REFERENCE:
        return None
    looked, news = _news(source, max(after, through), unsettled)
    if len(news) < MIN_COMPARED:
        return None
    elapsed = spans.FIRST if last is None else looked[-1].closed_at - last.window.closed_at
    since = looked[-1].closed_at - max(elapsed, spans.ACTIVE)
    n_models = judged_windows.n_models(queue, since=min(since, looked[0].closed_at))
    n_queues = ReviewQueue.objects.filter(project=actor.project).count()
    share = elapsed / spans.MEAN_TIME_BETWEEN / (n_models * n_queues)
    return verdict_rates.report(
        actor,
        model=model,
        queue=queue.slug,
        windows=looked,
        reference=_verdicts(reference),
        compared=_verdicts(news),
        level=min(spans.HIGHEST_LEVEL, share),
    )


def _reference(source: Source, unsettled: Sequence[int]) -> tuple[list[Judged], int]:
    """The first settled windows judged, until enough was; and the number of the last of them."""
    first = judged_windows.first_window(source)
    found: list[Judged] = []
    through = after = 0 if first is None else first - 1
    before = _first_beyond(unsettled, after)
    for window, judged in judged_windows.read(source, samples.SEGMENTS, after=after, before=before):
        found += judged
        through = window.number
        if len(found) >= MIN_REFERENCE:
            break
    return found, through


def _news(
    source: Source, after: int, unsettled: Sequence[int]
) -> tuple[list[Window], list[Judged]]:
    """What was judged beyond a window, in as many settled windows as a report takes."""
    looked: list[Window] = []
    found: list[Judged] = []
    before = _first_beyond(unsettled, after)
    for window, judged in judged_windows.read(source, samples.SEGMENTS, after=after, before=before):
        if judged:
            looked.append(window)
            found += judged
        if len(looked) >= MOST_WINDOWS and len(found) >= MIN_COMPARED:
            break
    return looked, found


def _first_beyond(unsettled: Sequence[int], after: int) -> int:
    """The first unsettled window beyond another, before which all is settled."""
    return unsettled[min(bisect_right(unsettled, after), len(unsettled) - 1)]


def _verdicts(found: Sequence[Judged]) -> Verdicts:
    return Verdicts(
        y=np.array([one.violation for one in found], np.float64),
        weight=np.array([one.weight for one in found], np.float64),
        times=np.array([one.at for one in found], np.float64),
        segments={
            name: np.array([one.segments[name] for one in found], np.str_)
            for name in samples.SEGMENTS
            if any(one.segments[name] for one in found)
        },
    )
