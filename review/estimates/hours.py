"""What an hour of review buys: violations found and width of the interval, verdict by verdict.

Along the order in which cases were served, the figure is told anew from what was finished by then.
Random sampling stands beside it at the same number of verdicts, computed from the design and the
figure at the end; nothing here knows the truth.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from review.estimates.ask import Ask
from review.estimates.domains import place
from review.estimates.drawn import Drawn, Told
from review.estimates.figures import LEVEL
from review.estimates.populations import Cell
from review.estimates.windows import Material, far_enough, gather
from review.models.queues import Stratum
from scoring.core.estimation.estimate import Estimate
from scoring.core.estimation.rates import estimate_rate
from scoring.core.estimation.rounds import OUTSIDE
from scoring.core.estimation.uniform_comparison import rate_base, uniform_at_equal_budget

N_POINTS = 16
ASSUMED_SECONDS = 30.0  # of a case, where not one was timed
_STRATA = list(Stratum)


@dataclass(frozen=True, slots=True)
class Point:
    """After so many cases: `found` and `width` of ours, `random_…` what uniform draws expect.

    Attributes:
        hours: reviewers' time until then.
        width: of the interval, in [0, 1]; None where there is none yet.
        random_low, random_high: of the violations found, by the figure's limits.
    """

    hours: float
    n_cases: int
    found: int
    width: float | None
    random_found: float | None
    random_low: float | None
    random_high: float | None
    random_width: float | None


@dataclass(frozen=True, slots=True)
class Curve:
    """The points, the figure at the end, and how many cases had no time of their own."""

    points: Sequence[Point]
    estimate: Estimate
    uniform: Estimate
    n_untimed: int

    @property
    def last(self) -> Point | None:
        return self.points[-1] if self.points else None


def curve(ask: Ask) -> Curve:
    """The figure along its reviewers' hours.

    Raises:
        InvalidInput: as `figures.figure`.
    """
    material = gather(ask)
    windows = material.windows()
    final = estimate_rate(windows, ask.metric, level=LEVEL)
    base = rate_base(windows, ask.metric)
    prevalence = final
    if ask.metric != "prevalence":
        prevalence = estimate_rate(windows, "prevalence", level=LEVEL)
    served = _in_order(material)
    times = [row.seconds for _, row in served if row.seconds is not None]
    usual = median(times) if times else ASSUMED_SECONDS
    points: list[Point] = []
    seconds, done, progress, found = 0.0, 0, Counter[int](), 0
    for stop in _stops(len(served)):
        for one, row in served[done:stop]:
            seconds += usual if row.seconds is None else row.seconds
            progress[one.made.pk] += 1
            found += _is_found(material, row)
        done = stop
        now = _at(material, progress)
        width = _width(estimate_rate(material.windows(now), ask.metric, level=LEVEL))
        chance = replace(final, n_verdicts=_n_inside(material, now))
        expected = _times(prevalence, chance.n_verdicts)
        points.append(
            Point(
                hours=seconds / 3600.0,
                n_cases=done,
                found=found,
                width=width,
                random_found=expected[0],
                random_low=expected[1],
                random_high=expected[2],
                random_width=_width(uniform_at_equal_budget(chance, base=base)),
            )
        )
    return Curve(points, final, uniform_at_equal_budget(final, base=base), len(served) - len(times))


def _in_order(material: Material) -> list[tuple[Told, Drawn]]:
    """The finished cases as they were served: draws in turn, their strata side by side."""
    draws: dict[tuple[int, int], int] = {}  # a draw over a window's strata, by its first round
    for one in sorted(
        (one for own in material.covered.values() for one in own), key=lambda one: one.made.pk
    ):
        draws.setdefault((one.made.window_id, one.made.number), one.made.pk)
    rows = [
        (
            (
                draws[one.made.window_id, one.made.number],
                row.position,
                _STRATA.index(Stratum(cell[1])),
            ),
            one,
            row,
        )
        for cell, finished in material.covered.items()
        for one in finished
        for row in one.rows
    ]
    return [(one, row) for _, one, row in sorted(rows, key=lambda entry: entry[0])]


def _stops(n_cases: int) -> list[int]:
    """After how many cases to look; the last is all of them."""
    n_points = min(N_POINTS, n_cases)
    return [math.ceil(n_cases * (point + 1) / n_points) for point in range(n_points)]


def _at(material: Material, progress: Counter[int]) -> dict[Cell, Sequence[Told]]:
    """The cells as they were when each round had `progress` finished cases."""
    cells = {
        cell: [one.cut(progress[one.made.pk]) for one in finished if progress[one.made.pk]]
        for cell, finished in material.covered.items()
    }
    return far_enough({cell: finished for cell, finished in cells.items() if finished})


def _is_found(material: Material, row: Drawn) -> bool:
    inside = place(row.seen, material.ask.domain, material.ask.at) != OUTSIDE
    return inside and material.reading.of(row.resolution) == 1.0


def _n_inside(material: Material, cells: dict[Cell, Sequence[Told]]) -> int:
    """Answered cases of the domain."""
    return sum(
        place(row.seen, material.ask.domain, material.ask.at) != OUTSIDE
        and not math.isnan(material.reading.of(row.resolution))
        for finished in cells.values()
        for one in finished
        for row in one.rows
    )


def _times(share: Estimate, n: int) -> tuple[float | None, float | None, float | None]:
    if share.value is None or share.low is None or share.high is None:
        return None, None, None
    return n * share.value, n * share.low, n * share.high


def _width(estimate: Estimate) -> float | None:
    if estimate.low is None or estimate.high is None:
        return None
    return estimate.high - estimate.low
