"""Settings of the ensemble scorer: profiles, weights, and their checks."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from scoring.core.scorers.contract import N_TIERS, InvalidConfigError
from scoring.core.scorers.decision_v1 import read_rule
from scoring.core.scorers.percentile_fit import check_rates, read_signal

GROUPS = {
    "stat": ("mahalanobis", "isolation_forest"),
    "density": ("knn", "gmm"),
    "contrast": ("contrastive",),
}
PROFILES: dict[str, list[str]] = {
    "lean": ["mahalanobis"],
    "full": ["mahalanobis", "isolation_forest", "knn", "contrastive"],
}
DEFAULTS: dict[str, Any] = {
    "profile": "lean",  # lean: Mahalanobis and signals; full: forest, neighbours, contrast too
    "detectors": None,  # names, instead of the profile's
    "alpha": 1.0,  # weight of the statistical detectors, shared among them
    "beta": 1.0,  # of the density detectors
    "gamma": 1.0,  # of the contrast
    "synthetic_contrast": False,  # whether contrast counts before there are violations to learn
    "signals": {},  # name -> {direction: high|low|both, weight: > 0}
    "trim": True,  # leave out of the baseline what does not belong to it
    "context_weights": {},
    "tier_rates": [0.10, 0.05, 0.01, 0.001],
    "review_from_tier": None,
    "intervene_from_tier": None,
    "intervention": None,
    "minimum_records": 600,  # half of them calibrate, and 299 is the least for 1 %
    "seed": 0,
}


def read_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with their defaults; raises InvalidConfigError where one is malformed."""
    unknown = set(config) - set(DEFAULTS)
    if unknown:
        raise InvalidConfigError(f"unknown settings {sorted(unknown)}")
    settings = {**DEFAULTS, **config}
    if settings["profile"] not in PROFILES:
        raise InvalidConfigError(f"profile is none of {sorted(PROFILES)}")
    known = {name for names in GROUPS.values() for name in names}
    detectors = settings["detectors"]
    if detectors is not None and (not isinstance(detectors, list) or not set(detectors) <= known):
        raise InvalidConfigError(f"detectors: any of {sorted(known)} expected")
    if not isinstance(settings["signals"], Mapping):
        raise InvalidConfigError("signals: {name: {direction, weight}} expected")
    settings["signals"] = {
        name: read_signal(name, entry) for name, entry in settings["signals"].items()
    }
    for name in ("alpha", "beta", "gamma"):
        weight = settings[name]
        is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not is_number or not 0 <= weight < math.inf:
            raise InvalidConfigError(f"{name}: a finite number >= 0 expected")
    for name in ("trim", "synthetic_contrast"):
        if not isinstance(settings[name], bool):
            raise InvalidConfigError(f"{name}: true or false expected")
    check_rates(settings["tier_rates"])
    if type(settings["minimum_records"]) is not int or settings["minimum_records"] < 600:
        raise InvalidConfigError("minimum_records: an integer >= 600 expected")
    if type(settings["seed"]) is not int or settings["seed"] < 0:
        raise InvalidConfigError("seed: an integer >= 0 expected")
    read_rule(settings, np.zeros(N_TIERS - 1))
    return settings


def group_weights(settings: Mapping[str, Any], *, with_violations: bool) -> dict[str, float]:
    """Detector -> weight: α, β and γ shared equally within their groups; zeros left out.

    Against synthetic outliers contrast misleads on a contaminated baseline (AUC .55), so it counts
    only with violations, unless the settings insist.
    """
    chosen = settings["detectors"] or PROFILES[settings["profile"]]
    if not with_violations and not settings["synthetic_contrast"]:
        chosen = [name for name in chosen if name != "contrastive"]
    weights = {}
    for symbol, group in zip(("alpha", "beta", "gamma"), GROUPS.values(), strict=True):
        members = [name for name in group if name in chosen]
        for name in members:
            if settings[symbol] > 0:
                weights[name] = float(settings[symbol]) / len(members)
    return weights
