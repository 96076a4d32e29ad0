"""Counts of scores by tier, and their bars as rectangles of a drawing of fixed size."""

from collections.abc import Iterable
from dataclasses import dataclass

N_BINS = 20
N_TIERS = 5
WIDTH, HEIGHT = 400.0, 100.0  # of the drawing, in user units
_GAP = 2.0
_LEAST = 1.5  # so that a single record among thousands is seen


@dataclass(frozen=True, slots=True)
class Bar:
    """One tier's share of a bin, stacked on the tiers below it."""

    tier: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Scores in [low, high), the last bin with its end; `counts` by tier."""

    low: float
    high: float
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Histogram:
    bins: tuple[Bin, ...]
    by_tier: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.by_tier)

    @property
    def highest(self) -> int:
        return max(one.total for one in self.bins)

    def bars(self) -> list[Bar]:
        """The stacked bars, from left to right, each from tier 0 up."""
        step = WIDTH / N_BINS
        unit = (HEIGHT - N_TIERS * _LEAST) / max(self.highest, 1)
        bars = []
        for place, one in enumerate(self.bins):
            y = HEIGHT
            for tier, count in enumerate(one.counts):
                if count:
                    height = max(count * unit, _LEAST)
                    y -= height
                    x = round(place * step + _GAP / 2, 2)
                    bars.append(Bar(tier, x, round(y, 2), step - _GAP, round(height, 2)))
        return bars


def of_scores(scores: Iterable[tuple[float, int]]) -> Histogram:
    """The histogram of (score in [0, 1], tier) pairs over `N_BINS` equal bins."""
    counts = [[0] * N_TIERS for _ in range(N_BINS)]
    for score, tier in scores:
        counts[min(int(score * N_BINS), N_BINS - 1)][tier] += 1
    bins = tuple(
        Bin(low=place / N_BINS, high=(place + 1) / N_BINS, counts=tuple(row))
        for place, row in enumerate(counts)
    )
    return Histogram(bins=bins, by_tier=tuple(sum(column) for column in zip(*counts, strict=True)))
