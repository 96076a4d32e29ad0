"""Why a report compared fewer records than there were, and a test fewer than the report."""

from scoring.core.drift.contract import SCORE
from scoring.models import DriftReport
from scoring.services.drift import comparing, runs


def why_fewer(report: DriftReport) -> list[str]:
    """One sentence for each reduction by which a report's counts fall; none where all was used."""
    if report.kind != DriftReport.Kind.RECORDS:
        return []  # every verdict counts
    return [why for why in (_why_not_all(report), _why_thinned(report)) if why]


def _why_not_all(report: DriftReport) -> str:
    left = report.n_records - report.n_compared
    if left <= 0:
        return ""
    if report.n_compared >= runs.MAX_RECORDS:
        return (
            f"{report.n_compared:,} of the {report.n_records:,} records were drawn by chance, as"
            " many as a report reads at most, so that a long span costs no more than a short one."
        )
    return (
        f"{left:,} of the {report.n_records:,} records were erased or closed to review after they"
        " were counted, or came in before the scorer version in use was fitted."
    )


def _why_thinned(report: DriftReport) -> str:
    whole = [test for test in report.tests if not test["segment"]]
    largest = max((test["n_compared"] for test in whole), default=0)
    n_shuffles, n_rows = comparing.effort(report.level)
    halved = comparing.effort(report.level / 2)
    if any(test["kind"] == SCORE for test in whole) or largest == halved[1]:
        n_shuffles, n_rows = halved  # the scores are a family of their own: two share the level
    in_season = round(report.matched * report.n_compared)
    if n_rows >= max(in_season, report.n_reference):
        return ""
    return (
        f"Each test rests on at most {n_rows:,} records of either side, drawn by chance, since a"
        f" level of {report.level:.2g} takes {n_shuffles:,} shuffles of them, and the time and"
        " memory of a report allow no more records than that to be shuffled so often."
    )
