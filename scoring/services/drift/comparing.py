"""One report's tests: everything about the records of a span against their reference.

Signals, what is missing, fingerprints, distances from the moving baseline, the mix of segments and
all of these within segments are one family: its p-values are adjusted by step-down maxT over
shared shuffles (Westfall & Young). Scores are a second family where their reference is another
(records that the same scorer version scored). Two families share the level by Bonferroni, so the
chance that a report without drift holds even one alarm is at most its level.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scoring.core.drift.compare import DriftSettings, compare_windows
from scoring.core.drift.contract import DriftAlarm, DriftTest, Floats, Sample
from scoring.services.drift.samples import Records
from scoring.services.drift.spans import MOST_PERMUTATIONS

MIN_ROWS = 30
MAX_SEGMENTS = 20
_FEWEST_PERMUTATIONS = 999
_MOST_ROWS = 1_000
_CELLS = 4_000_000  # permutations times rows of one side: bounds memory and time


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """Tests that share their shuffles, and the samples they are about."""

    reference: Sample
    window: Sample
    alarms: tuple[DriftAlarm, ...]
    season: str


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """All tests of a report; p-values are adjusted for all of them, to be held against `level`."""

    level: float
    families: tuple[Family, ...]
    tests: tuple[DriftTest, ...]
    season: str
    matched: float


def compare(
    reference: Records,
    window: Records,
    *,
    distances: tuple[Mapping[str, Floats], Mapping[str, Floats]],
    scored: Sample | None,
    scorer: int,
    level: float,
    seed: str,
) -> Comparison:
    """Test a span against its reference.

    Args:
        reference, window: of one model version, with the same segment fields.
        distances: of either, from baselines that have absorbed neither.
        scored: reference of the scores under the scorer version; None where there is none yet.
        scorer: id of the scorer version in use.
        level: of the report.
        seed: names the comparison; the same one gives the same shuffles.
    """
    pairs = [
        (reference.sample(dict(distances[0])), window.sample(dict(distances[1])), True),
    ]
    if scored is not None:
        ours = window.scored_by(scorer)
        if min(len(scored), len(ours)) >= MIN_ROWS:
            pairs.append((scored, ours, False))
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8]))
    families, tests = [], []
    season, matched = "none", 0.0
    for before, after, is_main in pairs:
        report = compare_windows(
            before, after, rng=rng, settings=_settings(level / len(pairs), mix=is_main)
        )
        if is_main:
            season, matched = report.season, report.matched
        tests += [_shared(test, len(pairs)) for test in report.tests]
        alarms = tuple(
            DriftAlarm(_shared(alarm.test, len(pairs)), alarm.effect, alarm.since)
            for alarm in report.alarms
        )
        families.append(Family(before, after, alarms, report.season))
    return Comparison(level, tuple(families), tuple(tests), season, matched)


def effort(alpha: float) -> tuple[int, int]:
    """How many shuffles a family takes at its level, and of how many records of either side.

    As many shuffles as resolve the level with something to spare, on as many records as fit.
    """
    n = int(np.clip(np.ceil(4.0 / alpha), _FEWEST_PERMUTATIONS, MOST_PERMUTATIONS))
    return n, min(_MOST_ROWS, _CELLS // n)


def _settings(alpha: float, *, mix: bool) -> DriftSettings:
    n, max_rows = effort(alpha)
    return DriftSettings(
        alpha=alpha,
        n_permutations=n,
        max_rows=max_rows,
        min_rows=MIN_ROWS,
        max_segments=MAX_SEGMENTS,
        mix=mix,
    )


def _shared(test: DriftTest, n_families: int) -> DriftTest:
    return DriftTest(
        test.kind,
        test.name,
        test.segment,
        test.statistic,
        test.p,
        min(1.0, n_families * test.p_adjusted),
        test.n_reference,
        test.n_window,
    )
