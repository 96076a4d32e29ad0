"""Learns α, β, γ and the signals' weights of an ensemble from verified labels.

Detectors of a group share its weight, so a group is one term: the mean of its detectors' squashed
values, as the sum in raw is made of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.scorers.contract import RecordBatch
from scoring.core.scorers.ensemble_settings import GROUPS
from scoring.core.scorers.ensemble_v1 import EnsembleV1
from scoring.core.state import ScorerState
from scoring.core.weighting import WeightProposal, propose_weights

SYMBOLS = dict(zip(("alpha", "beta", "gamma"), GROUPS.values(), strict=True))
SIGNAL = "signal:"
_LEAST = 1e-6  # a signal's weight must be above 0


@dataclass(frozen=True, eq=False)
class Judged:
    """A batch with its labels, float64 (n,) in [0, 1], and sampling weights, float64 (n,) > 0."""

    batch: RecordBatch
    label: NDArray[np.float64]
    weight: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Weighing:
    """What was learnt about an ensemble's weights.

    names: the terms weighed: alpha, beta, gamma, signal:NAME.
    proposal: weights on the simplex, in the order of the names, and whether they are adopted.
    settings: those of the ensemble, with the learnt weights where they are adopted.
    """

    names: tuple[str, ...]
    proposal: WeightProposal
    settings: Mapping[str, Any]


def weigh_terms(
    state: ScorerState, judged: Sequence[Judged], *, rng: np.random.Generator
) -> Weighing:
    """Propose weights for a fitted ensemble from labels that its detectors have not seen.

    state: of `fit_ensemble`.  judged: held-out labels must not be among them, nor violations that
    its contrast was fitted on, which would flatter γ.

    The learnt weights keep the sum of the present ones, and are taken over only where
    `propose_weights` adopts them. A term that a record lacks counts as usual, as it adds nothing
    to raw.

    Raises InvalidConfigError where the state is not an ensemble's, ValueError where arrays do not
    fit.
    """
    scorer = EnsembleV1(state)
    settings = dict(state.config["settings"])
    tables = [_grouped(scorer, one.batch) for one in judged]
    names = _names(scorer)
    present = np.array([_present_weight(settings, name) for name in names])
    proposal = propose_weights(
        np.concatenate(tables) if tables else np.empty((0, len(names))),
        np.concatenate([one.label for one in judged]) if judged else np.empty(0),
        np.concatenate([one.weight for one in judged]) if judged else np.empty(0),
        present / present.sum(),
        rng=rng,
    )
    if proposal.adopted:
        learnt = np.maximum(proposal.weights * present.sum(), _LEAST)
        settings = _with_weights(settings, dict(zip(names, learnt.tolist(), strict=True)))
    return Weighing(names=names, proposal=proposal, settings=settings)


def _names(scorer: EnsembleV1) -> tuple[str, ...]:
    detectors = {term.name for term in scorer.terms if term.kind == "detector"}
    groups = [symbol for symbol, members in SYMBOLS.items() if detectors & set(members)]
    signals = [SIGNAL + term.name for term in scorer.terms if term.kind == "signal"]
    return (*groups, *signals)


def _grouped(scorer: EnsembleV1, batch: RecordBatch) -> NDArray[np.float64]:
    values = np.nan_to_num(scorer.terms_of(batch))
    columns = []
    for name in _names(scorer):
        members = [
            j
            for j, term in enumerate(scorer.terms)
            if (term.kind == "signal" and name == SIGNAL + term.name)
            or (term.kind == "detector" and term.name in SYMBOLS.get(name, ()))
        ]
        columns.append(values[:, members].mean(axis=1))
    return np.stack(columns, axis=1)


def _present_weight(settings: Mapping[str, Any], name: str) -> float:
    if name.startswith(SIGNAL):
        return float(settings["signals"][name.removeprefix(SIGNAL)]["weight"])
    return float(settings[name])


def _with_weights(settings: Mapping[str, Any], learnt: Mapping[str, float]) -> dict[str, Any]:
    signals = {
        name: {**entry, "weight": learnt.get(SIGNAL + name, entry["weight"])}
        for name, entry in settings["signals"].items()
    }
    groups = {symbol: learnt[symbol] for symbol in SYMBOLS if symbol in learnt}
    return {**settings, **groups, "signals": signals}
