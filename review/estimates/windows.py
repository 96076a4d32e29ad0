"""From stored rounds and answers to the arrays that estimators take, and what had to stay outside.

A window's strata were drawn apart, so each is a window of its own to the estimators; held-out,
stream and intervened records together make up the population. What nobody has reviewed yet is left
out of it and said: an interval over it would speak of nothing.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from review.estimates import answers, certain, drawn, populations
from review.estimates.ask import Ask
from review.estimates.domains import place
from review.estimates.drawn import Told
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


Covered = Mapping[Cell, Sequence[Told]]


@dataclass(frozen=True, slots=True)
class Material:
    """What figures are computed from.

    Attributes:
        covered: the finished rounds of each cell that figures speak of, in the order of drawing.
        sizes: records of the domain in each cell.
        reading: how answers read as yes or no.
        sure: records taken with certainty, apart from chance.
        excluded: records of the domain outside the population, by reason.
        first: of each cell the round that could choose from all of it.
    """

    ask: Ask
    covered: Covered
    sizes: Mapping[Cell, Size]
    reading: answers.Reading
    sure: certain.Certain
    excluded: Mapping[str, int]
    first: Mapping[Cell, SamplingRound]

    def windows(
        self, covered: Covered | None = None, instead: Mapping[UUID, float] | None = None
    ) -> list[Window]:
        """One window per cell, and one for what is certain.

        Args:
            covered: cells as they were at an earlier time; all that is finished where None.
            instead: labels, by case, that replace what the cases came to.
        """
        cells = self.covered if covered is None else covered
        found = [self._window(cell, done, instead or {}) for cell, done in cells.items()]
        sure = self.sure.window(instead or {})
        return found if sure is None else [*found, sure]

    def rules(self) -> Counter[str]:
        """How the answers of the domain were reached: by a single verdict, a majority, …"""
        return Counter(
            row.resolution["rule"]
            for finished in self.covered.values()
            for one in finished
            for row in one.rows
            if row.resolution is not None
            and place(row.seen, self.ask.domain, self.ask.at) != OUTSIDE
        )

    def _window(
        self, cell: Cell, finished: Sequence[Told], instead: Mapping[UUID, float]
    ) -> Window:
        rounds = tuple(self._round(one, self.sure.records_in(cell), instead) for one in finished)
        # Never less than was drawn: a withdrawal between draw and a later count takes one away.
        unflagged, flagged = (
            max(
                counted - self.sure.n_in(cell, domain),
                sum(int((one.domain == domain).sum()) for one in rounds),
            )
            for domain, counted in zip(DOMAINS, self.sizes[cell].by_domain, strict=True)
        )
        n_records = max(self.first[cell].n_candidates, unflagged + flagged)
        return Window(n_records, (unflagged, flagged), rounds)

    def _round(
        self, one: Told, elsewhere: Collection[UUID], instead: Mapping[UUID, float]
    ) -> Round:
        hits, hazard = one.floor_testimony()
        return make_round(
            [_replaced(row, instead, self.reading.of(row.resolution)) for row in one.rows],
            one.inclusion_probabilities(),
            domain=[
                OUTSIDE
                if row.record_id in elsewhere
                else place(row.seen, self.ask.domain, self.ask.at)
                for row in one.rows
            ],
            floor_draws=hits,
            floor_hazards=(hazard, hazard),
        )


def gather(ask: Ask) -> Material:
    """All that is known about a figure, in a fixed number of queries.

    Raises:
        InvalidInput: answers under versions that cannot be compared, or a domain too fine to count.
    """
    rounds = drawn.rounds_of(ask.queue)
    sizes = populations.sizes(ask.queue, rounds, ask.domain, ask.at)
    inside = [made for made in rounds if (made.window_id, made.stratum) in sizes]
    covered = far_enough(_cells(drawn.finished(ask.queue, inside, ask.domain)))
    excluded = _left_out(sizes, covered, inside)
    used = {version for finished in covered.values() for version in _versions(finished)}
    reading = answers.read(ask.asked, used, ask.rubric_version)
    for cell, finished in list(covered.items()):
        if not any(reading.asks(version) for version in _versions(finished)):
            excluded[OTHER_QUESTIONS] += sizes[cell].n
            del covered[cell]
    first = _first_rounds(inside)
    sure = certain.escalated(ask, {cell: first[cell] for cell in covered}, reading)
    return Material(
        ask=ask,
        covered=covered,
        sizes=sizes,
        reading=reading,
        sure=sure,
        excluded={reason: n for reason, n in excluded.items() if n},
        first=first,
    )


def _cells(finished: Sequence[Told]) -> dict[Cell, list[Told]]:
    """Finished rounds by window and stratum, in the order of the first of each."""
    cells: dict[Cell, list[Told]] = {}
    for one in finished:
        cells.setdefault((one.made.window_id, one.made.stratum), []).append(one)
    return cells


def _first_rounds(rounds: Sequence[SamplingRound]) -> dict[Cell, SamplingRound]:
    """The first round of each cell; rounds come in the order they were drawn."""
    return {(made.window_id, made.stratum): made for made in reversed(rounds)}


def far_enough(cells: Covered) -> dict[Cell, Sequence[Told]]:
    """The cells that are reviewed so far that figures speak of them."""
    far = {cell for cell, finished in cells.items() if _is_far(finished)}
    strata = {stratum for _, stratum in far}
    return {
        cell: finished for cell, finished in cells.items() if cell in far or cell[1] not in strata
    }


def _left_out(
    sizes: Mapping[Cell, Size], covered: Covered, rounds: Sequence[SamplingRound]
) -> Counter[str]:
    """How many records are outside the covered cells, by reason."""
    has_round = {(made.window_id, made.stratum) for made in rounds}
    excluded = Counter[str]()
    for cell, size in sizes.items():
        if cell in covered:
            continue
        if cell[1] == WITHHELD:
            excluded[NO_CONSENT] += size.n
        else:
            excluded[WAITING if cell in has_round else NOT_DRAWN] += size.n
    return excluded


def _is_far(finished: Sequence[Told]) -> bool:
    asked = sum(one.state.end for one in finished)
    return sum(len(one.rows) for one in finished) >= LEAST_SHARE * asked


def _versions(finished: Sequence[Told]) -> set[int]:
    """The rubric versions under which a cell's cases were answered."""
    return {
        row.resolution["rubric_version_id"]
        for one in finished
        for row in one.rows
        if row.resolution is not None
    }


def _replaced(row: drawn.Drawn, instead: Mapping[UUID, float], label: float) -> float:
    return label if row.case_id is None else instead.get(row.case_id, label)
