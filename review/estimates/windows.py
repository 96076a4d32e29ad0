"""From stored rounds and answers to the arrays that estimators take, and what had to stay outside.

A window's strata were drawn apart, so each is a window of its own to the estimators; held-out,
stream and intervened records together make up the population. What nobody has reviewed yet is left
out of it and said: an interval over it would speak of nothing.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from review.estimates import answers, certain, drawn, populations
from review.estimates.ask import Ask
from review.estimates.domains import place
from review.estimates.drawn import FinishedRound
from review.estimates.populations import Cell, Size
from review.models import SamplingRound
from review.models.populations import WITHHELD
from scoring.core.estimation.rounds import DOMAINS, OUTSIDE, Round, Window, make_round

LEAST_SHARE = 0.25
"""A round of which less is finished waits, unless all rounds of its stratum are like that: a few
answers that stand for a whole window would drown what the others know."""

NO_CONSENT = "may not be reviewed"
NOT_DRAWN = "their stratum has no review budget"
WAITING = "their round is not finished far enough"
OTHER_QUESTIONS = "their reviewers were not asked this"


@dataclass(frozen=True, slots=True)
class Material:
    """What a figure is computed from.

    Attributes:
        windows: one per stratum of each window, in the order they were drawn; certain ones apart.
        rounds: the finished rounds behind them, cell by cell.
        excluded: records of the domain outside the population, by reason.
        rules: how many of the domain's answers rest on a single verdict, a majority, …
    """

    windows: tuple[Window, ...]
    rounds: tuple[tuple[FinishedRound, ...], ...]
    excluded: Mapping[str, int]
    rules: Mapping[str, int]


def gather(ask: Ask) -> Material:
    """All that is known about a figure, in a fixed number of queries.

    Raises:
        InvalidInput: answers under versions that cannot be compared, or a domain too fine to count.
    """
    rounds = drawn.rounds_of(ask.queue)
    sizes = populations.sizes(ask.queue, rounds, ask.domain, ask.at)
    inside = [made for made in rounds if (made.window_id, made.stratum) in sizes]
    cells = _cells(drawn.finished(inside, ask.domain))
    covered, excluded = _cover(sizes, cells, inside)
    used = {version for finished in covered.values() for version in _versions(finished)}
    reading = answers.read(ask.asked, used, ask.rubric_version)
    for cell, finished in list(covered.items()):
        if not any(reading.asks(version) for version in _versions(finished)):
            excluded[OTHER_QUESTIONS] += sizes[cell].n
            del covered[cell]
    sure = certain.escalated(ask, {cell: own[0].made for cell, own in covered.items()}, reading)
    windows = [
        _window(ask, cell, sizes[cell], finished, reading, sure)
        for cell, finished in covered.items()
    ]
    return Material(
        windows=tuple(windows if sure.window is None else [*windows, sure.window]),
        rounds=tuple(tuple(finished) for finished in covered.values()),
        excluded={reason: n for reason, n in excluded.items() if n},
        rules=_rules(ask, covered.values()),
    )


def _cells(finished: Sequence[FinishedRound]) -> dict[Cell, list[FinishedRound]]:
    """Finished rounds by window and stratum, in the order of the first of each."""
    cells: dict[Cell, list[FinishedRound]] = {}
    for one in finished:
        cells.setdefault((one.made.window_id, one.made.stratum), []).append(one)
    return cells


def _cover(
    sizes: Mapping[Cell, Size],
    cells: Mapping[Cell, list[FinishedRound]],
    rounds: Sequence[SamplingRound],
) -> tuple[dict[Cell, list[FinishedRound]], Counter[str]]:
    """The cells that are reviewed far enough, and how many records are outside for which reason."""
    far = {cell for cell, finished in cells.items() if _is_far(finished)}
    strata_far = {stratum for _, stratum in far}
    covered = {
        cell: finished
        for cell, finished in cells.items()
        if cell in far or cell[1] not in strata_far
    }
    has_round = {(made.window_id, made.stratum) for made in rounds}
    excluded = Counter[str]()
    for cell, size in sizes.items():
        if cell in covered:
            continue
        if cell[1] == WITHHELD:
            excluded[NO_CONSENT] += size.n
        else:
            excluded[WAITING if cell in has_round else NOT_DRAWN] += size.n
    return covered, excluded


def _is_far(finished: Sequence[FinishedRound]) -> bool:
    asked = sum(one.made.n_selected for one in finished)
    return sum(len(one.rows) for one in finished) >= LEAST_SHARE * asked


def _versions(finished: Sequence[FinishedRound]) -> set[int]:
    """The rubric versions under which a cell's cases were answered."""
    return {
        row.resolution["rubric_version_id"]
        for one in finished
        for row in one.rows
        if row.resolution is not None
    }


def _window(
    ask: Ask,
    cell: Cell,
    size: Size,
    finished: Sequence[FinishedRound],
    reading: answers.Reading,
    sure: certain.Certain,
) -> Window:
    rounds = tuple(_round(ask, one, reading, sure.records_in(cell)) for one in finished)
    # Never less than was drawn: a withdrawal between the draw and a later count takes one away.
    unflagged, flagged = (
        max(
            counted - sure.n_in(cell, domain),
            sum(int((one.domain == domain).sum()) for one in rounds),
        )
        for domain, counted in zip(DOMAINS, size.by_domain, strict=True)
    )
    n_records = max(finished[0].made.n_candidates, unflagged + flagged)
    return Window(n_records, (unflagged, flagged), rounds)


def _round(
    ask: Ask, one: FinishedRound, reading: answers.Reading, elsewhere: Collection[UUID]
) -> Round:
    hits, hazard = one.floor_testimony()
    return make_round(
        [reading.of(row.resolution) for row in one.rows],
        one.inclusion_probabilities(),
        domain=[
            OUTSIDE if row.record_id in elsewhere else place(row.seen, ask.domain, ask.at)
            for row in one.rows
        ],
        floor_draws=hits,
        floor_hazards=(hazard, hazard),
    )


def _rules(ask: Ask, cells: Iterable[Sequence[FinishedRound]]) -> Counter[str]:
    return Counter(
        row.resolution["rule"]
        for finished in cells
        for one in finished
        for row in one.rows
        if row.resolution is not None and ask.domain.holds(row.seen)
    )
