"""Fitting a posterior to lessons, adding single lessons to it, and keeping it as bytes.

Sampled records weigh one each: they were chosen by what the features hold, and given the features
the answer does not depend on having been asked (docs/decisions/0016).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from review.beliefs.lessons import Lesson
from review.beliefs.space import Space
from scoring.core.information_gain import probit_probability
from scoring.core.posterior import (
    Posterior,
    fit_posterior,
    posterior_from_arrays,
    update_posterior,
)
from scoring.core.state import ScorerState, from_bytes, to_bytes
from scoring.services.pinned import Pinned

FloatArray = npt.NDArray[np.float64]

PRIOR_BASE_RATE = 0.05
PRIOR_RECORDS = 20.0  # that the prior base rate is worth
_LEAST_RATE, _MOST_RATE = 1e-4, 0.9


@dataclass(frozen=True, eq=False)
class Learnt:
    """A posterior and the lessons it rests on.

    Attributes:
        resolutions, evidence: int64, ascending, ids of what was absorbed.
        n_violations: the sum of the targets.
    """

    posterior: Posterior
    resolutions: npt.NDArray[np.int64]
    evidence: npt.NDArray[np.int64]
    n_violations: float

    @property
    def state(self) -> ScorerState:
        return ScorerState(
            config={"n_violations": self.n_violations},
            arrays={
                **self.posterior.to_arrays(),
                "resolutions": self.resolutions,
                "evidence": self.evidence,
            },
        )

    def to_bytes(self) -> bytes:
        return to_bytes(self.state)

    def digest(self) -> str:
        return self.state.digest()


def learnt_from_bytes(data: bytes) -> Learnt:
    """What `Learnt.to_bytes` stored; StateError or ValueError where it is damaged."""
    state = from_bytes(data)
    return Learnt(
        posterior=posterior_from_arrays(
            {name: state.arrays[name] for name in ("mean", "covariance", "counts")}
        ),
        resolutions=state.arrays["resolutions"],
        evidence=state.arrays["evidence"],
        n_violations=float(state.config["n_violations"]),
    )


def refit(space: Space, lessons: Sequence[Lesson], rows: Sequence[Pinned]) -> Learnt:
    """Fit anew to all lessons, from the prior.

    Args:
        rows: the lessons' records under the space's scorer version, in their order.
    """
    features = space.of_records(rows, [lesson.escalated for lesson in lessons])
    targets = np.array([lesson.target for lesson in lessons])
    return Learnt(
        posterior=fit_posterior(features, targets, space.prior()),
        resolutions=_ids(one for lesson in lessons for one in lesson.resolutions),
        evidence=_ids(lesson.evidence for lesson in lessons),
        n_violations=float(targets.sum()),
    )


def add(learnt: Learnt, space: Space, lessons: Sequence[Lesson], rows: Sequence[Pinned]) -> Learnt:
    """Absorb lessons one by one, in their order; their records must be new to the posterior."""
    features = space.of_records(rows, [lesson.escalated for lesson in lessons])
    posterior = learnt.posterior
    for row, lesson in zip(features, lessons, strict=True):
        posterior = update_posterior(posterior, row, lesson.target)
    return Learnt(
        posterior=posterior,
        resolutions=_ids(
            [*learnt.resolutions, *(one for lesson in lessons for one in lesson.resolutions)]
        ),
        evidence=_ids([*learnt.evidence, *(lesson.evidence for lesson in lessons)]),
        n_violations=learnt.n_violations + sum(lesson.target for lesson in lessons),
    )


def base_rate(learnt: Learnt, space: Space, reference: Sequence[Pinned]) -> float:
    """Expected share of violations among candidates, shrunk to the prior rate by 20 records."""
    expected = PRIOR_RECORDS * PRIOR_BASE_RATE
    if reference:
        moments = learnt.posterior.moments(space.of_records(reference))
        expected += float(probit_probability(*moments).sum())
    rate = expected / (PRIOR_RECORDS + len(reference))
    return float(np.clip(round(rate, 9), _LEAST_RATE, _MOST_RATE))


def _ids(values: Iterable[int]) -> npt.NDArray[np.int64]:
    return np.sort(np.fromiter(values, dtype=np.int64))
