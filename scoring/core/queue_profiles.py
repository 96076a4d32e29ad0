"""What a queue is for: finding violations, or measuring how many there are.

The settings under which docs/learning-figures.md was measured; whoever takes them by import gets
what was measured.
"""

from dataclasses import dataclass

LEAST_BUDGET, MOST_BUDGET = 5, 30


@dataclass(frozen=True)
class QueueProfile:
    """How a queue draws.

    Attributes
    ----------
    name : str
    floor : float in (0, 1)
        Share ``ε`` of the budget that is drawn whatever the gain.
    size_in_budgets : float >= 1
        Effective sample size of the softmax, in budgets of a round.
    census : bool
        Flagged records are a stratum taken with certainty, where the budget allows it.
    strategy : str
        Of `scoring.core.information_gain.gain_strategy`.
    """

    name: str
    floor: float
    size_in_budgets: float
    census: bool
    strategy: str = "hybrid_fast_v1"


DISCOVER = QueueProfile("discover", floor=0.1, size_in_budgets=2.0, census=False)
MEASURE = QueueProfile("measure", floor=0.5, size_in_budgets=12.0, census=True)
PROFILES = (DISCOVER, MEASURE)


def round_budget(n_records: int) -> int:
    """Verdicts of a round: one in a hundred records of the window, at least 5, at most 30.

    More rounds learn more from the same verdicts; fewer are cheaper.
    """
    return min(max(n_records // 100, LEAST_BUDGET), MOST_BUDGET)
