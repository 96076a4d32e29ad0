"""The kinds of scorers that are fitted to a window, and which of them a window allows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oversight.lib import errors
from scoring.core.scorers import ensemble_fit, ensemble_settings, percentile_fit
from scoring.core.scorers.contract import BaselineTooSmallError, RecordBatch, ScorerError
from scoring.core.state import ScorerState


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind is fitted, and how its settings are checked before there are records."""

    fit: Callable[..., ScorerState]
    read_settings: Callable[[Mapping[str, Any]], Mapping[str, Any]]


# By what they promise, the most first: only the ensemble controls its false-alarm rate.
KINDS = {
    "ensemble": Kind(ensemble_fit.fit_ensemble, ensemble_settings.read_settings),
    "percentile": Kind(percentile_fit.fit_percentile, percentile_fit.read_settings),
}


def allowed(kind: str | None, settings: Mapping[str, Any]) -> list[str]:
    """The kinds that may be fitted: the one asked for, or all that know the settings.

    Raises:
        InvalidInput: there is no such kind, or none that takes these settings.
    """
    if kind is not None and kind not in KINDS:
        raise errors.InvalidInput.at("kind", f"none of {', '.join(KINDS)}")
    able, refusals = [], []
    for name in [kind] if kind else KINDS:
        try:
            KINDS[name].read_settings(settings)
        except ScorerError as error:
            refusals.append(f"{name}: {error}")
        else:
            able.append(name)
    if not able:
        raise errors.InvalidInput.at("config", "; ".join(refusals))
    return able


def fit_first(
    names: Sequence[str], batches: Sequence[RecordBatch], settings: Mapping[str, Any]
) -> ScorerState:
    """The state of the first of these kinds for which the window is large enough.

    Raises:
        InvalidInput: it is too small for all of them, or its records cannot be fitted.
    """
    refusals = []
    for name in names:
        try:
            return KINDS[name].fit(batches, config=settings)
        except BaselineTooSmallError as error:
            refusals.append(f"{name}: {error}")
        except ScorerError as error:  # what is wrong with the records, a lesser kind would hide
            raise errors.InvalidInput(
                f"no scorer could be fitted: {error}", code="no_fit"
            ) from error
    raise errors.InvalidInput(f"no scorer could be fitted: {'; '.join(refusals)}", code="no_fit")
