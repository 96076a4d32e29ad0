"""The rates as functions of two counts: their values, slopes and ranges."""

from dataclasses import dataclass
from itertools import product

from scoring.core.estimation.estimate import Metric
from scoring.core.estimation.totals import Total


@dataclass(frozen=True)
class Counts:
    """Violations among flagged (a) and unflagged (b) records, and how many of each there are."""

    a: float
    b: float
    n_flagged: int
    n_unflagged: int


def rate_of(metric: Metric, counts: Counts) -> float | None:
    """The rate at these counts, in [0, 1]; None where its denominator is empty."""
    a, b, n_flagged = counts.a, counts.b, counts.n_flagged
    n_records = n_flagged + counts.n_unflagged
    if metric == "prevalence":
        return (a + b) / n_records
    if metric == "precision":
        return a / n_flagged
    if metric == "fpr":
        return (n_flagged - a) / (n_records - a - b) if n_records > a + b else None
    if a + b <= 0.0:
        return None
    return a / (a + b) if metric == "recall" else b / (a + b)


def gradient_of(metric: Metric, counts: Counts, value: float) -> tuple[float, float]:
    """Partial derivatives of the rate by a and b."""
    n_records = counts.n_flagged + counts.n_unflagged
    if metric == "prevalence":
        return 1.0 / n_records, 1.0 / n_records
    if metric == "precision":
        return 1.0 / counts.n_flagged, 0.0
    if metric == "fpr":
        rest = n_records - counts.a - counts.b
        return -(1.0 - value) / rest, value / rest
    found = counts.a + counts.b
    recall = value if metric == "recall" else 1.0 - value
    sign = 1.0 if metric == "recall" else -1.0
    return sign * (1.0 - recall) / found, -sign * recall / found


def rates_possible(
    metric: Metric, flagged: Total, unflagged: Total, most: tuple[float, float]
) -> tuple[float, float]:
    """Least and greatest rate over the box of counts from what is certain up to ``most``."""
    corners = product((flagged.least, most[0]), (unflagged.least, most[1]))
    rates = [rate_of(metric, Counts(a, b, flagged.size, unflagged.size)) for a, b in corners]
    known = [rate for rate in rates if rate is not None]
    if len(known) < len(rates):
        return 0.0, 1.0
    return min(known), max(known)


def rates_in_reach(
    metric: Metric, centre: Counts, a_upper: float, b_upper: float
) -> tuple[float, float]:
    """Span of the rate when either count stands at its floor limit and the other where it is."""
    pairs = [(max(a_upper, centre.a), centre.b), (centre.a, max(b_upper, centre.b))]
    rates = [rate_of(metric, Counts(a, b, centre.n_flagged, centre.n_unflagged)) for a, b in pairs]
    known = [rate for rate in rates if rate is not None]
    if len(known) < len(rates):  # every record could be a violation
        return 0.0, 1.0
    return min(known), max(known)
