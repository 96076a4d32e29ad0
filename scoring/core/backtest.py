"""Backtest of a scorer version on judged records, beside the version it would replace.

Every figure is over the records the sample stands for: counts are sums of sampling weights.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Figure:
    """A weighted proportion with its interval; value is None where nothing speaks for it.

    n_records: records that count in it.  n_effective: Kish's effective number, below 10 the
    interval is not to be relied on.
    """

    value: float | None
    low: float
    high: float
    n_records: int
    n_effective: float


@dataclass(frozen=True, slots=True)
class Detection:
    """How soon episodes of violations are noticed.

    n_episodes, n_detected: episodes, and those with an alarm on one of their violations.
    median_seconds: from an episode's first violation to the first alarm on it, over the detected
        ones; None where there are none.
    """

    n_episodes: int
    n_detected: int
    median_seconds: float | None


@dataclass(frozen=True, slots=True)
class Metrics:
    """precision = P(violation | alarm), recall = P(alarm | violation), dismissed = share of
    alarms a person looked at without confirming a violation, those left unsure included."""

    precision: Figure
    recall: Figure
    dismissed: Figure
    detection: Detection


@dataclass(frozen=True, slots=True)
class Comparison:
    """Candidate and previous version on the same records, and the difference of their recall and
    precision with a paired interval.

    n_records: judged records compared.  n_labels: those with an answer.  n_different: those that
    one version raises an alarm on and the other does not.  A gain is None where one version is
    silent, and where none of the records that could speak for it is decided differently: that
    nothing differs in a sample says little about how much could differ outside it.
    """

    candidate: Metrics
    previous: Metrics
    precision_gain: Figure
    recall_gain: Figure
    n_records: int
    n_labels: int
    n_different: int


@dataclass(frozen=True, eq=False)
class JudgedRecords:
    """Records with a human answer, from any rounds.

    label: float64 (n,), 1 violation, 0 none, NaN looked at without an answer.
    sampling_weight: float64 (n,) > 0, inverse inclusion probability.
    occurred_at: float64 (n,), seconds since any fixed time.
    episode: (n,) name of the failure a violation belongs to (clause, incident), "" for none.
    segments: name -> (n,) value, such as region -> EU.

    Held-out records must not be among them. Raises ValueError where lengths or values do not fit.
    """

    label: NDArray[np.float64]
    sampling_weight: NDArray[np.float64]
    occurred_at: NDArray[np.float64]
    episode: Sequence[str] = ()
    segments: Mapping[str, Sequence[str]] | None = None

    def __post_init__(self) -> None:
        n = len(self.label)
        columns = [self.sampling_weight, self.occurred_at, *(self.segments or {}).values()]
        if any(len(column) != n for column in columns) or len(self.episode) not in (0, n):
            raise ValueError(f"columns of {n} values expected")
        if not np.isin(self.label[~np.isnan(self.label)], (0.0, 1.0)).all():
            raise ValueError("labels are 1, 0 or NaN")
        if not (np.isfinite(self.sampling_weight) & (self.sampling_weight > 0)).all():
            raise ValueError("sampling weights must be finite and above 0")
        if not np.isfinite(self.occurred_at).all():
            raise ValueError("times must be finite")


@dataclass(frozen=True, eq=False)
class Report:
    """by_tier[t - 1]: alarm at tier t or above, for t = 1..4.  by_segment: (field, value) -> the
    same at `segment_tier`."""

    by_tier: tuple[Comparison, ...]
    by_segment: Mapping[tuple[str, str], Comparison]
    segment_tier: int


def backtest(
    records: JudgedRecords,
    candidate_tier: NDArray[np.int8],
    previous_tier: NDArray[np.int8],
    *,
    segment_tier: int = 2,
) -> Report:
    """Compare two versions' tiers, int8 (n,) in 0..4, on the same judged records.

    segment_tier: the tier from which a record counts as an alarm in the segments, 1..4.
    """
    if not len(candidate_tier) == len(previous_tier) == len(records.label):
        raise ValueError("one tier per record and version expected")
    everyone = np.ones(len(records.label), np.bool_)
    by_tier = tuple(
        _compare(records, candidate_tier >= tier, previous_tier >= tier, everyone)
        for tier in range(1, 5)
    )
    by_segment = {}
    for name, values in (records.segments or {}).items():
        column = np.asarray(values)
        for value in sorted(set(values)):
            by_segment[name, value] = _compare(
                records,
                candidate_tier >= segment_tier,
                previous_tier >= segment_tier,
                column == value,
            )
    return Report(by_tier, by_segment, segment_tier)


def _compare(
    records: JudgedRecords,
    candidate: NDArray[np.bool_],
    previous: NDArray[np.bool_],
    domain: NDArray[np.bool_],
) -> Comparison:
    weight = records.sampling_weight
    positive, known = records.label == 1.0, ~np.isnan(records.label)
    return Comparison(
        candidate=_metrics(records, candidate, domain),
        previous=_metrics(records, previous, domain),
        precision_gain=_precision_gain(
            weight, positive, candidate & known & domain, previous & known & domain
        ),
        recall_gain=_recall_gain(weight, candidate, previous, positive & domain),
        n_records=int(domain.sum()),
        n_labels=int((known & domain).sum()),
        n_different=int(((candidate ^ previous) & domain).sum()),
    )


def _metrics(
    records: JudgedRecords, alarm: NDArray[np.bool_], domain: NDArray[np.bool_]
) -> Metrics:
    positive, known = records.label == 1.0, ~np.isnan(records.label)
    weight = records.sampling_weight
    return Metrics(
        precision=proportion(weight, positive, alarm & known & domain),
        recall=proportion(weight, alarm, positive & domain),
        dismissed=proportion(weight, ~positive, alarm & domain),
        detection=_detection(records, alarm, positive & domain),
    )


def proportion(
    weight: NDArray[np.float64], success: NDArray[np.bool_], domain: NDArray[np.bool_]
) -> Figure:
    """Weighted share of successes in a domain.

    Interval: Clopper & Pearson with the effective number of records in place of n (Korn &
    Graubard, Confidence Intervals for Proportions with Small Expected Number of Positive Counts,
    Survey Methodology 1998, with Kish's design effect).
    """
    w = weight[domain]
    if w.size == 0:
        return Figure(None, 0.0, 1.0, 0, 0.0)
    n_effective = float(w.sum() ** 2 / np.sum(w**2))
    value = float(w @ success[domain] / w.sum())
    hits, tail = value * n_effective, (1.0 - LEVEL) / 2.0
    low = 0.0 if hits <= 0 else stats.beta.ppf(tail, hits, n_effective - hits + 1.0)
    misses = n_effective - hits
    high = 1.0 if misses <= 1e-9 else stats.beta.ppf(1.0 - tail, hits + 1.0, misses)
    return Figure(value, float(low), float(high), int(w.size), n_effective)


def _recall_gain(
    weight: NDArray[np.float64],
    candidate: NDArray[np.bool_],
    previous: NDArray[np.bool_],
    violation: NDArray[np.bool_],
) -> Figure:
    """Share of violations that the candidate alone finds, less what the previous alone finds.

    The two shares exclude each other, so their estimates correlate as those of a multinomial:
    ρ = -√(b·c / ((1 - b)(1 - c))).
    """
    won = proportion(weight, candidate & ~previous, violation)
    lost = proportion(weight, previous & ~candidate, violation)
    if not (violation & (candidate ^ previous)).any():
        return _unknown(won)
    assert won.value is not None
    assert lost.value is not None
    spread = (1.0 - won.value) * (1.0 - lost.value)
    rho = -math.sqrt(won.value * lost.value / spread) if spread > 1e-12 else 0.0
    return _difference(won, lost, max(-1.0, rho), won.n_records, won.n_effective)


def _precision_gain(
    weight: NDArray[np.float64],
    positive: NDArray[np.bool_],
    candidate: NDArray[np.bool_],
    previous: NDArray[np.bool_],
) -> Figure:
    """Difference of two precisions on overlapping alarms; ρ from both linearised ratios."""
    either = proportion(weight, positive, candidate | previous)
    if not (candidate.any() and previous.any() and (candidate ^ previous).any()):
        return _unknown(either)
    first, second = (proportion(weight, positive, alarm) for alarm in (candidate, previous))
    influences = [
        weight * alarm * (positive - (side.value or 0.0)) / weight[alarm].sum()
        for side, alarm in ((first, candidate), (second, previous))
    ]
    scale = math.sqrt(math.prod(float(np.sum(one**2)) for one in influences))
    rho = float(influences[0] @ influences[1]) / scale if scale > 0 else 0.0
    return _difference(first, second, rho, either.n_records, either.n_effective)


def _difference(
    first: Figure, second: Figure, rho: float, n_records: int, n_effective: float
) -> Figure:
    """first - second with the interval recovered from both of theirs, whose estimates correlate.

    d - √((p - l)² + (u' - p')² - 2ρ(p - l)(u' - p')) and the mirror image of it (Newcombe, Improved
    Confidence Intervals for the Difference between Binomial Proportions Based on Paired Data,
    Statistics in Medicine 1998, method 10; Zou & Donner, Construction of Confidence Limits about
    Effect Measures, Statistics in Medicine 2008). It stays in [-1, 1] and never has width 0 where
    all pairs agree, as an estimated variance has.
    """
    assert first.value is not None
    assert second.value is not None
    value = first.value - second.value

    def reach(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a * a + b * b - 2.0 * rho * a * b))

    low = value - reach(first.value - first.low, second.high - second.value)
    high = value + reach(first.high - first.value, second.value - second.low)
    return Figure(value, max(-1.0, low), min(1.0, high), n_records, n_effective)


def _unknown(over: Figure) -> Figure:
    """No difference can be told: one side is silent, or both decide every record alike."""
    return Figure(None, -1.0, 1.0, over.n_records, over.n_effective)


def _detection(
    records: JudgedRecords, alarm: NDArray[np.bool_], violation: NDArray[np.bool_]
) -> Detection:
    episodes = np.asarray(records.episode, dtype=np.str_)
    if not len(episodes):
        return Detection(0, 0, None)
    names = sorted(set(episodes[violation]) - {""})
    delays = []
    for name in names:
        members = violation & (episodes == name)
        seen = records.occurred_at[members & alarm]
        if seen.size:
            delays.append(float(seen.min() - records.occurred_at[members].min()))
    median = float(np.median(delays)) if delays else None
    return Detection(len(names), len(delays), median)
