"""Backtests: a scorer version and another one on the same judged records, stored as a report.

Neither is tested on labels that it learnt from, and held-out labels stand apart under
`evaluation`: they are told, and decide nothing.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import transaction

from oversight.audit import services as audit
from oversight.jobs.models import Job
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from oversight.tenancy.models import User
from scoring import verified
from scoring.backtest_reports import calibration_part, tier_part, verdict_of
from scoring.core.backtest import JudgedRecords, Report, backtest
from scoring.models import Backtest, ScorerVersion
from scoring.selectors import record_scores
from scoring.services import calibration_gain, rescoring, scorers

SEGMENT_TIER = 2
MIN_OF_SEGMENT = 10  # labels; fewer say nothing
_MAX_SEGMENTS = 40


def reference_of(version: ScorerVersion) -> ScorerVersion | None:
    """The version to compare with: the one in use, or for that one the one before it."""
    current = version.scorer.current
    if current is not None and current.pk != version.pk:
        return current
    return scorers.find_previous(version)


def run(
    actor: Actor,
    *,
    version: ScorerVersion,
    reference: ScorerVersion | None,
    labels: verified.VerifiedLabels,
    job: Job | None = None,
    created_by: User | None = None,
    gain: Mapping[str, Any] | None = None,
) -> Backtest:
    """Compare two versions and store the report; a job that runs twice finds its first one.

    Args:
        reference: None where nothing was in use before: then there is only one side.
        labels: of the project, from above.
        gain: what cross-fitting said of a version that differs in its calibration alone; from
            labels that came later where None.
    """
    access.require(actor, "figures:read")
    if job is not None and (stored := Backtest.objects.filter(job=job).first()) is not None:
        return stored
    project = actor.project
    scored = []
    for one in (version, reference or version):
        rescoring.score_records(project, one, labels.record_ids)
        scored.append(record_scores.scores_of(project, one, labels.record_ids))
    usable = scored[0].found & scored[1].found & (labels.weight > 0) & ~labels.positives_only
    learnt = _learnt(labels, version, reference, "contrast")
    fitted = _learnt(labels, version, reference, "calibration")
    tested = usable & ~labels.held_out & ~learnt
    report = _report(labels, scored, tested, fitted, reference)
    report["evaluation"] = _report(labels, scored, usable & labels.held_out, fitted, reference)
    report["calibration_gain"] = dict(
        _gain(version, reference, labels, scored, tested & ~fitted) if gain is None else gain
    )
    report["verdict"] = verdict_of(report, reference is not None)
    with transaction.atomic():
        made = Backtest.objects.create(
            scorer_version=version,
            reference=reference,
            source=labels.source,
            report=report,
            label_counts={
                "tested": int(tested.sum()),
                "violations": int(np.sum(labels.label[tested] == 1.0)),
                "held_out": int(np.sum(usable & labels.held_out)),
                "learnt_from": int(np.sum(usable & learnt)),
                "calibrated_on": int(np.sum(tested & fitted)),
                "record_gone": int(np.sum(~(scored[0].found & scored[1].found))),
                "without_weight": int(np.sum(labels.weight <= 0)),
                **{name.replace(" ", "_"): n for name, n in labels.left_out.items()},
            },
            created_by=created_by or actor.user,
            job=job,
        )
        audit.record(
            actor,
            "scorer.backtested",
            "scorer_version",
            version.pk,
            backtest=made.pk,
            reference=reference.number if reference else None,
            n_labels=made.label_counts["tested"],
            verdict=report["verdict"]["says"],
        )
    return made


def _gain(
    version: ScorerVersion,
    reference: ScorerVersion | None,
    labels: verified.VerifiedLabels,
    scored: list[record_scores.Scores],
    fresh: npt.NDArray[np.bool_],
) -> Mapping[str, Any]:
    """Empty where something else than the calibration sets the two apart."""
    if reference is None or not calibration_gain.differ_in_calibration_alone(version, reference):
        return {}
    stated = scored[0].p_violation, scored[1].p_violation
    return calibration_gain.gain_of(version, reference, labels, stated, fresh)


def _learnt(
    labels: verified.VerifiedLabels,
    version: ScorerVersion,
    reference: ScorerVersion | None,
    what: str,
) -> npt.NDArray[np.bool_]:
    learnt = verified.learnt_from(labels, version.baseline, what)
    if reference is not None:
        learnt |= verified.learnt_from(labels, reference.baseline, what)
    return learnt


def _report(
    labels: verified.VerifiedLabels,
    scored: list[record_scores.Scores],
    rows: npt.NDArray[np.bool_],
    fitted: npt.NDArray[np.bool_],
    reference: ScorerVersion | None,
) -> dict[str, Any]:
    fresh = rows & ~fitted
    return {
        **tier_part(_compared(labels, scored, rows), has_reference=reference is not None),
        "calibration": calibration_part(
            scored[0].p_violation[fresh],
            scored[1].p_violation[fresh] if reference is not None else None,
            labels.label[fresh],
            labels.weight[fresh],
            why_none=_why_no_label(int(rows.sum())),
        ),
    }


def _why_no_label(n_tested: int) -> str:
    """Why no probability can be tested. Verdicts that move no tier may still have fitted it."""
    if not n_tested:
        return "none of these records is judged yet"
    return (
        f"the probabilities were fitted on the labels of these {n_tested} records, though no"
        " tier was: held-out records test them"
    )


def _compared(
    labels: verified.VerifiedLabels,
    scored: list[record_scores.Scores],
    rows: npt.NDArray[np.bool_],
) -> Report:
    places = np.flatnonzero(rows).tolist()
    candidate, previous = (one.tier[rows] for one in scored)
    judged = JudgedRecords(
        label=labels.label[rows],
        sampling_weight=labels.weight[rows],
        occurred_at=labels.seconds[rows],
        episode=[labels.episode[i] for i in places],
        segments={
            name: column
            for name, values in labels.segments.items()
            if 1 < len(set(column := [values[i] for i in places])) <= _MAX_SEGMENTS
        },
    )
    return backtest(judged, candidate, previous, segment_tier=SEGMENT_TIER)
