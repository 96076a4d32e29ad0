"""Drift with what reviewers say: confirmed violations kept out of baselines, and verdict rates.

The reference of a verdict rate is the first windows judged under a rubric version that suffice;
labels of other rubric versions are not pooled with them. Each queue and model version has reports
of its own; together they alarm falsely at most once in `spans.MEAN_TIME_BETWEEN` on average.
"""

import logging
from collections.abc import Sequence
from uuid import UUID

import numpy as np

from oversight.tenancy.actors import Actor
from oversight.tenancy.models import Project
from review.models import CaseResolution, ReviewQueue
from review.selectors import judged_windows
from review.selectors.judged_windows import Judged
from scoring.core.baseline import BaselineError
from scoring.core.drift.contract import DriftError
from scoring.models import DriftReport, ModelVersion, Window
from scoring.services.drift import runs, samples, spans, verdict_rates
from scoring.services.drift.verdict_rates import Verdicts

logger = logging.getLogger(__name__)

MIN_REFERENCE = 100
MIN_COMPARED = 50


def run(actor: Actor) -> list[DriftReport]:
    """Every drift report that is due in the actor's project; safe to run twice."""
    made: list[DriftReport] = []
    try:
        made += runs.run(actor, confirmed=confirmed_violations)
        for queue in ReviewQueue.objects.filter(project=actor.project).order_by("pk"):
            made += report_verdicts(actor, queue=queue)
    except (DriftError, BaselineError):
        # One project's odd data must not keep the others waiting; the next tick tries again.
        logger.exception("drift of %s could not be computed", actor.project.slug)
    return made


def confirmed_violations(project: Project, ids: list[UUID]) -> set[UUID]:
    """Which of the records reviewers have confirmed as violations."""
    found = CaseResolution.objects.filter(
        violation=True, case__evidence__project=project, case__evidence__record_id__in=ids
    )
    return set(found.values_list("case__evidence__record_id", flat=True))


def report_verdicts(actor: Actor, *, queue: ReviewQueue) -> list[DriftReport]:
    """Compare what was found in the queue's settled windows since the last reports."""
    rounds = judged_windows.settled_rounds(queue, after=_last_of_all(queue))
    news = judged_windows.judged(rounds, samples.SEGMENTS)
    if len(news) < MIN_COMPARED:
        return []
    form = max(news, key=lambda one: one.window).form
    news = [one for one in news if one.form == form]
    models = sorted({one.model_version for one in news})
    windows = {made.window.number: made.window for made in rounds}
    reports = []
    for model in ModelVersion.objects.filter(pk__in=models):
        mine = [one for one in news if one.model_version == model.pk]
        report = _report(actor, queue, model, form, mine, windows, n_models=len(models))
        if report is not None:
            reports.append(report)
    return reports


def _last_of_all(queue: ReviewQueue) -> int:
    """The number of the window that every model version's last report has reached."""
    newest: dict[int, int] = {}
    for model, number in DriftReport.objects.filter(
        project=queue.project, kind=DriftReport.Kind.VERDICTS, queue=queue.slug
    ).values_list("model_version", "window__number"):
        newest[model] = max(number, newest.get(model, 0))
    return min(newest.values(), default=0)


def _report(
    actor: Actor,
    queue: ReviewQueue,
    model: ModelVersion,
    form: int,
    news: Sequence[Judged],
    windows: dict[int, Window],
    *,
    n_models: int,
) -> DriftReport | None:
    reference = _reference(queue, model, form)
    if len(reference) < MIN_REFERENCE:
        return None
    last = verdict_rates.last_report(model, queue.slug)
    after = max(one.window for one in reference)
    if last is not None:
        after = max(after, last.window.number)
    mine = [one for one in news if one.window > after]
    if len(mine) < MIN_COMPARED:
        return None
    looked = [windows[number] for number in sorted({one.window for one in mine})]
    elapsed = spans.FIRST if last is None else looked[-1].closed_at - last.window.closed_at
    n_queues = ReviewQueue.objects.filter(project=actor.project).count()
    share = elapsed / spans.MEAN_TIME_BETWEEN / (n_models * n_queues)
    return verdict_rates.report(
        actor,
        model=model,
        queue=queue.slug,
        windows=looked,
        reference=_verdicts(reference),
        compared=_verdicts(mine),
        level=min(spans.HIGHEST_LEVEL, share),
    )


def _reference(queue: ReviewQueue, model: ModelVersion, form: int) -> list[Judged]:
    """The first settled windows judged under the rubric version, until enough was judged."""
    first = (
        CaseResolution.objects.filter(
            rubric_version=form,
            case__selection__round__queue=queue,
            case__evidence__model_version=model,
        )
        .order_by("case__selection__round__window__number")
        .values_list("case__selection__round__window__number", flat=True)
        .first()
    )
    if first is None:
        return []
    found: list[Judged] = []
    by_window: dict[int, list[Judged]] = {}
    rounds = judged_windows.settled_rounds(queue, after=first - 1)
    for one in judged_windows.judged(rounds, samples.SEGMENTS):
        if one.form == form and one.model_version == model.pk:
            by_window.setdefault(one.window, []).append(one)
    for number in sorted(by_window):
        if len(found) >= MIN_REFERENCE:
            break
        found += by_window[number]
    return found


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
