"""When several monitors judge one record: act only on a weighted majority of all registered.

A missing vote is neither yes nor no: the denominator is the registered weight, never the weight of
those who answered, since otherwise silencing honest monitors would hand the decision to the rest.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from math import ceil, floor, isfinite, log

UNITS = 1_000_000_000  # shares are whole billionths: sums are exact in any order


class QuorumError(ValueError):
    """A roster or its settings are malformed."""


class Outcome(IntEnum):
    """What the quorum decides, weakest first.

    NO_DECISION: no monitor with weight is registered.  PASS: even if all missing votes were yes,
    the threshold would not be passed.  DEGRADED: the missing votes could tip it: hold, and ask a
    person.  ACT: the threshold is passed.
    """

    NO_DECISION = 0
    PASS = 1
    DEGRADED = 2
    ACT = 3


@dataclass(frozen=True, slots=True)
class Vote:
    """A monitor's answer to `is this a violation?`."""

    monitor: str
    violation: bool


@dataclass(frozen=True, slots=True)
class QuorumDecision:
    """The outcome and what it rests on, as shares of the registered weight.

    support, opposed, absent: shares in [0, 1] that sum to 1 (less n billionths of rounding);
    absent includes what the cap left to nobody.
    missing: registered monitors without a usable vote.  equivocating: those that voted both ways,
    which count as absent.  unknown: voters that are not registered, which do not count.
    """

    outcome: Outcome
    support: float
    opposed: float
    absent: float
    missing: tuple[str, ...]
    equivocating: tuple[str, ...]
    unknown: tuple[str, ...]


class Quorum:
    """Weighted vote over registered monitors: act iff Σ_{i: yes} s_i > θ.

    s_i is the share of w_i = max(0, log(p_i/(1 - p_i))), with p_i the verified lower bound of the
    monitor's accuracy (what it says of its own confidence could be forged). No share exceeds
    `cap`; what is cut off goes to the others, and where all are capped to nobody, as if absent.

    A false action takes a Byzantine weight above θ; with weight m absent and b Byzantine, true
    violations are still acted on while 1 - b - m > θ.

    This is the Engine issue's equation 4 with a registered denominator.

    Source: Nitzan & Paroush, Optimal Decision Rules in Uncertain Dichotomous Choice Situations,
    1982 (log-odds weights); Gifford, Weighted Voting for Replicated Data, 1979 (fixed quorum).
    """

    def __init__(
        self, accuracy: Mapping[str, float], *, threshold: float = 0.5, cap: float | None = None
    ) -> None:
        """Register monitors.

        accuracy: monitor -> verified lower bound of its accuracy, in [0, 1); at or below .5 it
        has no weight.  threshold: θ in [0, 1).  cap: largest share, in (0, θ]; θ if None, so that
        no single monitor can act alone (with θ = 0 any monitor with weight acts alone).

        Raises QuorumError where a number is out of range.
        """
        if not 0.0 <= threshold < 1.0:
            raise QuorumError("threshold must lie in [0, 1)")
        largest = (threshold or 1.0) if cap is None else cap
        if not 0.0 < largest <= (threshold or 1.0):
            raise QuorumError("cap must lie in (0, threshold]: else one monitor could act alone")
        if not all(isfinite(p) and 0.0 <= p < 1.0 for p in accuracy.values()):
            raise QuorumError("an accuracy must lie in [0, 1)")
        odds = {name: log(p / (1.0 - p)) if p > 0.5 else 0.0 for name, p in accuracy.items()}
        self.threshold = float(threshold)
        self._limit = floor(threshold * UNITS + 1e-6)
        self._shares, self._vacant = _capped_shares(odds, floor(largest * UNITS + 1e-6))

    @property
    def shares(self) -> dict[str, float]:
        """Monitor -> share of the registered weight, in [0, cap]."""
        return {name: share / UNITS for name, share in self._shares.items()}

    def decide(self, votes: Iterable[Vote]) -> QuorumDecision:
        """Decide on the votes at hand, in any order; repeats of a vote count once.

        One more yes never weakens the outcome.
        """
        said: dict[str, set[bool]] = {}
        for vote in votes:
            said.setdefault(vote.monitor, set()).add(bool(vote.violation))
        support = self._weigh(said, {True})
        opposed = self._weigh(said, {False})
        registered = sum(self._shares.values())
        absent = self._vacant + registered - support - opposed
        return QuorumDecision(
            outcome=self._outcome(support, absent),
            support=support / UNITS,
            opposed=opposed / UNITS,
            absent=absent / UNITS,
            missing=tuple(sorted(name for name in self._shares if len(said.get(name, ())) != 1)),
            equivocating=tuple(sorted(n for n in said if n in self._shares and len(said[n]) == 2)),
            unknown=tuple(sorted(name for name in said if name not in self._shares)),
        )

    def tolerated_weight(self, absent: float = 0.0) -> float:
        """Byzantine share b that still can neither cause a false action nor prevent a true one.

        absent: share m of missing votes, in [0, 1]. Safe iff b <= θ, live iff b < 1 - m - θ; the
        result is min(θ, 1 - m - θ) (short of it, where the second is the smaller), 0 where
        nothing is tolerated.
        """
        if not 0.0 <= absent <= 1.0:
            raise QuorumError("absent must lie in [0, 1]")
        return max(0.0, min(self._limit, self._live_limit(absent)) / UNITS)

    def tolerated_monitors(self, absent: float = 0.0) -> int:
        """How many monitors, whichever they are, may be Byzantine under `tolerated_weight`."""
        if not 0.0 <= absent <= 1.0:
            raise QuorumError("absent must lie in [0, 1]")
        bound = min(self._limit, self._live_limit(absent))
        total, count = 0, 0
        for share in sorted(self._shares.values(), reverse=True):
            total += share
            if total > bound or not share:
                break
            count += 1
        return count

    def _live_limit(self, absent: float) -> int:
        """Largest b in units with (registered weight) - b - m > θ."""
        return sum(self._shares.values()) - ceil(absent * UNITS - 1e-6) - self._limit - 1

    def _weigh(self, said: Mapping[str, set[bool]], answer: set[bool]) -> int:
        return sum(share for name, share in self._shares.items() if said.get(name) == answer)

    def _outcome(self, support: int, absent: int) -> Outcome:
        if not any(self._shares.values()):
            return Outcome.NO_DECISION
        if support > self._limit:
            return Outcome.ACT
        return Outcome.DEGRADED if support + absent > self._limit else Outcome.PASS


def _capped_shares(weights: Mapping[str, float], cap: int) -> tuple[dict[str, int], int]:
    """Shares in units proportional to weights, none above cap: rounded down, the safe way.

    The excess of capped monitors is spread over the others until nothing changes; the second
    result is what is left to nobody because all are capped.
    """
    capped: set[str] = set()
    free = {name: weight for name, weight in weights.items() if weight > 0.0}
    while free:
        left = UNITS - cap * len(capped)
        total = sum(free[name] for name in sorted(free))
        over = [name for name, weight in free.items() if left * (weight / total) > cap]
        if not over:
            break
        capped.update(over)
        for name in over:
            del free[name]
    left = max(0, UNITS - cap * len(capped))
    total = sum(free[name] for name in sorted(free)) or 1.0
    shares = {
        name: cap if name in capped else floor(left * (free.get(name, 0.0) / total))
        for name in sorted(weights)
    }
    return shares, 0 if free else left
