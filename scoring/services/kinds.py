"""The kinds of scorers that are fitted to a window, and which of them know which settings.

Fitting itself is in `fitting`, which needs libraries that a web process had better not load.
"""

from collections.abc import Callable, Mapping
from typing import Any

from oversight.lib import errors
from scoring.core.scorers import ensemble_settings, percentile_fit
from scoring.core.scorers.contract import ScorerError

# How the settings of each are checked before there are records. By what they promise, the most
# first: only the ensemble controls its false-alarm rate.
KINDS: dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
    "ensemble": ensemble_settings.read_settings,
    "percentile": percentile_fit.read_settings,
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
            KINDS[name](settings)
        except ScorerError as error:
            refusals.append(f"{name}: {error}")
        else:
            able.append(name)
    if not able:
        raise errors.InvalidInput.at("config", "; ".join(refusals))
    return able
