"""Compare a window of records with a reference: one family of tests, one report.

Every test of a report (each signal, what is missing, the score, the fingerprints, the mix of
segments, and all but the last within each segment) shares the same shuffles, so the chance that
a report without drift holds even one alarm is at most alpha.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.core.drift import effects, permutation
from scoring.core.drift.contract import (
    CENTRE_DISTANCE,
    DISTANCE,
    FINGERPRINT,
    MISSING,
    MIX,
    SCORE,
    SIGNAL,
    VERDICT_RATE,
    DriftAlarm,
    DriftError,
    DriftReport,
    DriftTest,
    Effect,
    Floats,
    Sample,
    Segment,
    Since,
)
from scoring.core.drift.localise import (
    MIN_SIZE,
    fourier_features,
    locate,
    remove_seasons,
    step_features,
)
from scoring.core.drift.rates import Rate, rate_drift_p, rate_effect
from scoring.core.drift.seasons import Seasons, seasons


@dataclass(frozen=True, kw_only=True)
class DriftSettings:
    """alpha: family-wise false-alarm rate of a report, in (0, 1).

    n_permutations: >= 1/alpha.  max_rows: a side with more is thinned by chance to this many (cost
    is n_permutations·max_rows² for fingerprints).  min_rows: fewer on either side: no test.
    max_segments: the largest ones are looked into.  mix: whether the mixes of segments are tested.
    """

    alpha: float = 0.05
    n_permutations: int = 999
    max_rows: int = 1000
    min_rows: int = 30
    max_segments: int = 20
    mix: bool = True

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0 or self.n_permutations + 1 < 2.0 / self.alpha:
            raise DriftError("alpha in (0, 1) and more than 2/alpha permutations expected")
        if self.min_rows < 2 or self.max_rows < self.min_rows or self.max_segments < 0:
            raise DriftError("2 <= min_rows <= max_rows and max_segments >= 0 expected")


@dataclass(frozen=True, eq=False)
class _Column:
    """What one test looks at: rows of the pool, and their values (n,) or (n, d)."""

    kind: str
    name: str
    segment: Segment | None
    rows: NDArray[np.intp]
    values: Floats
    effect: Effect
    statistics: Floats
    sizes: tuple[int, int]


@dataclass(frozen=True, eq=False)
class _Pool:
    """Both samples in one, thinned, with their strata and shuffled labels."""

    sample: Sample
    strata: NDArray[np.int64]
    labels: NDArray[np.bool_]


def compare_windows(
    reference: Sample,
    window: Sample,
    *,
    rng: np.random.Generator,
    settings: DriftSettings | None = None,
    verdicts: tuple[Rate, Rate] | None = None,
) -> DriftReport:
    """Test a window against a reference of the same model, season by season.

    verdicts: rates of the reference's and the window's weighted verdicts (`rates.weighted_rate`);
    where given, alpha is split evenly between them and the family of all other tests.

    Raises DriftError where the samples do not fit each other.
    """
    chosen = settings or DriftSettings()
    both = seasons(reference.times, window.times)
    pool = _pool(reference, window, both, chosen, rng)
    columns = list(_columns(pool, chosen)) if pool else []
    alarms, tests = [], []
    share = 1.0 if verdicts is None else 2.0
    if columns and pool:
        raw, adjusted = permutation.p_values(np.stack([column.statistics for column in columns]))
        for column, p, p_adjusted in zip(columns, raw, adjusted, strict=True):
            test = _test(column, float(p), min(1.0, share * float(p_adjusted)))
            tests.append(test)
            if test.p_adjusted <= chosen.alpha:
                alarms.append(DriftAlarm(test, column.effect, _since(pool, column, rng)))
    if verdicts is not None:
        p = rate_drift_p(*verdicts)
        sizes = tuple(round(rate.n_effective) for rate in verdicts)
        change = verdicts[1].value - verdicts[0].value
        test = DriftTest(
            VERDICT_RATE, "violations", None, change, p, min(1.0, 2 * p), sizes[0], sizes[1]
        )
        tests.append(test)
        if test.p_adjusted <= chosen.alpha:
            alarms.append(DriftAlarm(test, rate_effect(*verdicts), None))
    matched = float(both.matched.mean()) if len(window) else 0.0
    order = sorted(
        alarms, key=lambda alarm: (alarm.test.p_adjusted, alarm.test.segment is not None)
    )
    return DriftReport(
        alarms=tuple(order),
        tests=tuple(tests),
        alpha=chosen.alpha,
        season=both.name,
        matched=matched,
        n_reference=len(reference),
        n_window=len(window),
    )


def _pool(
    reference: Sample,
    window: Sample,
    both: Seasons,
    settings: DriftSettings,
    rng: np.random.Generator,
) -> _Pool | None:
    """None where the window has too few records with a counterpart in their season."""
    seen = np.isin(both.reference, both.window[both.matched])
    ours = _thin(np.flatnonzero(seen), settings.max_rows, rng)
    theirs = _thin(np.flatnonzero(both.matched), settings.max_rows, rng)
    if min(ours.size, theirs.size) < settings.min_rows:
        return None
    sample = _concatenate(reference.take(ours), window.take(theirs))
    strata = np.concatenate([both.reference[ours], both.window[theirs]])
    in_window = np.arange(len(sample)) >= ours.size
    labels = permutation.shuffled_labels(in_window, strata, settings.n_permutations, rng)
    return _Pool(sample, strata, labels)


def _columns(pool: _Pool, settings: DriftSettings) -> Iterator[_Column]:
    everything = np.arange(len(pool.sample))
    yield from _columns_within(pool, None, everything, settings)
    for name, values in pool.sample.segments.items() if settings.mix else ():
        categories, codes = np.unique(values, return_inverse=True)
        if categories.size > 1:
            weights = permutation.contrasts(pool.labels, pool.strata)
            effect = effects.mix_of(codes, np.asarray(weights[0], np.float64))
            statistics = permutation.mix(weights, codes)
            sizes = _sizes(pool, everything)
            yield _Column(
                MIX, name, None, everything, codes.astype(np.float64), effect, statistics, sizes
            )
    for segment, rows in _segments(pool, settings):
        yield from _columns_within(pool, segment, rows, settings)


def _columns_within(
    pool: _Pool, segment: Segment | None, rows: NDArray[np.intp], settings: DriftSettings
) -> Iterator[_Column]:
    sample = pool.sample
    numbers = [(SIGNAL, name, values) for name, values in sorted(sample.signals.items())]
    if sample.score is not None:
        numbers.append((SCORE, SCORE, sample.score))
    numbers += [(DISTANCE, name, values) for name, values in sorted(sample.distances.items())]
    for kind, name, values in numbers:
        present: NDArray[np.bool_] = np.isfinite(values[rows])
        if kind == SIGNAL and not present.all() and present.any():
            yield _number(pool, MISSING, name, segment, rows, np.asarray(~present, np.float64))
        if min(_sizes(pool, rows[present])) >= settings.min_rows:
            yield _number(pool, kind, name, segment, rows[present], values[rows[present]])
    if sample.fingerprints is not None:
        x = sample.fingerprints[rows].astype(np.float64)
        present = np.asarray(np.isfinite(x).all(axis=1))
        kept = rows[present]
        if min(_sizes(pool, kept)) >= settings.min_rows:
            weights = permutation.contrasts(pool.labels[:, kept], pool.strata[kept])
            effect = effects.spread_of(x[present], np.asarray(weights[0], np.float64))
            statistics = permutation.energy(weights, permutation.euclidean(x[present]))
            sizes = _sizes(pool, kept)
            yield _Column(
                FINGERPRINT, FINGERPRINT, segment, kept, x[present], effect, statistics, sizes
            )
            # Energy distance is weak against a change of scale alone; the distance from the centre
            # of both samples, which shuffles leave where it is, is not.
            distance = np.linalg.norm(x[present] - x[present].mean(axis=0), axis=1)
            yield _number(pool, FINGERPRINT, CENTRE_DISTANCE, segment, kept, distance)


def _number(
    pool: _Pool,
    kind: str,
    name: str,
    segment: Segment | None,
    rows: NDArray[np.intp],
    values: Floats,
) -> _Column:
    weights = permutation.contrasts(pool.labels[:, rows], pool.strata[rows])
    observed = np.asarray(weights[0], np.float64)
    if kind == MISSING:
        effect = effects.share_of(values > 0, observed)
    else:
        effect = effects.shift_of(values, observed)
    statistics = permutation.kolmogorov_smirnov(weights, values)
    return _Column(kind, name, segment, rows, values, effect, statistics, _sizes(pool, rows))


def _segments(pool: _Pool, settings: DriftSettings) -> list[tuple[Segment, NDArray[np.intp]]]:
    """The largest segments with enough records on both sides."""
    found = []
    for name, values in pool.sample.segments.items():
        for value in np.unique(values):
            rows = np.flatnonzero(values == value)
            if rows.size < len(values) and min(_sizes(pool, rows)) >= settings.min_rows:
                found.append((Segment(name, str(value)), rows))
    found.sort(key=lambda item: -item[1].size)
    return found[: settings.max_segments]


def _since(pool: _Pool, column: _Column, rng: np.random.Generator) -> Since | None:
    """The best split of both samples in time, seasons taken out; None where they are too short."""
    times = pool.sample.times[column.rows]
    if times.size < 2 * MIN_SIZE:
        return None
    if column.values.ndim == 2:
        features = fourier_features(column.values, rng)
    elif column.kind == MIX:
        features = np.eye(int(column.values.max()) + 1)[column.values.astype(np.intp)]
    else:
        features = step_features(column.values)
    in_reference = ~pool.labels[0, column.rows]
    features = remove_seasons(features, pool.strata[column.rows], in_reference)
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    split, low, high = locate(features[order], rng)
    last = ordered.size - 1
    return Since(float(ordered[split]), float(ordered[low]), float(ordered[min(high, last)]))


def _test(column: _Column, p: float, p_adjusted: float) -> DriftTest:
    n_reference, n_window = column.sizes
    statistic = float(column.statistics[0])
    return DriftTest(
        column.kind, column.name, column.segment, statistic, p, p_adjusted, n_reference, n_window
    )


def _sizes(pool: _Pool, rows: NDArray[np.intp]) -> tuple[int, int]:
    n_window = int(pool.labels[0, rows].sum())
    return rows.size - n_window, n_window


def _thin(rows: NDArray[np.intp], max_rows: int, rng: np.random.Generator) -> NDArray[np.intp]:
    return rows if rows.size <= max_rows else np.sort(rng.choice(rows, max_rows, replace=False))


def _concatenate(reference: Sample, window: Sample) -> Sample:
    if set(reference.segments) != set(window.segments):
        raise DriftError("reference and window have different segment fields")
    score, prints = None, None
    if reference.score is not None and window.score is not None:
        score = np.concatenate([reference.score, window.score])
    if reference.fingerprints is not None and window.fingerprints is not None:
        if reference.fingerprints.shape[1] != window.fingerprints.shape[1]:
            raise DriftError("reference and window have fingerprints of different length")
        prints = np.concatenate([reference.fingerprints, window.fingerprints])
    return Sample(
        times=np.concatenate([reference.times, window.times]),
        signals=_side_by_side(reference, window, reference.signals, window.signals),
        score=score,
        distances=_side_by_side(reference, window, reference.distances, window.distances),
        fingerprints=prints,
        segments={
            name: np.concatenate([reference.segments[name], window.segments[name]])
            for name in reference.segments
        },
    )


def _side_by_side(
    reference: Sample,
    window: Sample,
    ours: Mapping[str, Floats],
    theirs: Mapping[str, Floats],
) -> dict[str, Floats]:
    """Columns of both samples by name; NaN where one of them lacks a column."""
    gaps = [np.full(len(side), np.nan) for side in (reference, window)]
    return {
        name: np.concatenate([ours.get(name, gaps[0]), theirs.get(name, gaps[1])])
        for name in sorted({*ours, *theirs})
    }
