"""Scorer versions by kind and number.

A released version module (`…_vN.py`) is never edited, since stored scores name it: better code is
version N+1 beside it. Version modules import numpy, the contract, the state and other version
modules only; what fits them may change freely.
"""

from collections.abc import Callable

from scoring.core.scorers.cold_start_v1 import ColdStartV1
from scoring.core.scorers.contract import InvalidConfigError, Scorer
from scoring.core.scorers.ensemble_v1 import EnsembleV1
from scoring.core.scorers.percentile_v1 import PercentileV1
from scoring.core.state import ScorerState

_VERSIONS: dict[tuple[str, int], Callable[[ScorerState], Scorer]] = {
    (version.kind, version.number): version for version in (ColdStartV1, PercentileV1, EnsembleV1)
}


def load_scorer(kind: str, number: int, state: ScorerState) -> Scorer:
    """The scorer of a kind and version number, ready to score.

    Raises InvalidConfigError where the version is unknown or the state belongs to another.
    """
    version = _VERSIONS.get((kind, number))
    if version is None:
        raise InvalidConfigError(f"no scorer {kind!r} version {number}")
    if (state.config.get("kind"), state.config.get("number")) != (kind, number):
        raise InvalidConfigError(f"the state is not one of {kind!r} version {number}")
    return version(state)
