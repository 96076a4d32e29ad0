"""Reads of two scorer versions side by side."""

from dataclasses import dataclass
from typing import Any

from oversight.lib import codec
from oversight.tenancy.actors import Actor
from scoring import backtest_pages
from scoring.models import ScorerVersion
from scoring.selectors import backtests, scorers

_LONGEST = 160


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that two versions do not share, as JSON text, "–" where one has none."""

    name: str
    mine: str
    theirs: str


def other_version(actor: Actor, version: ScorerVersion, text: str) -> ScorerVersion | None:
    """The version named by its number; else that of the latest backtest, in use, or before.

    Raises:
        NotFound: no version has this number.
    """
    if text.isascii() and text.isdigit() and len(text) < 10:
        return scorers.get_version(actor, version.scorer.slug, int(text))
    latest = backtests.find_latest(actor, version)
    if latest is not None and latest.reference is not None:
        return latest.reference
    current = version.scorer.current
    if current is not None and current.pk != version.pk:
        return current
    return scorers.versions(actor, version.scorer.slug).exclude(pk=version.pk).first()


def compared(actor: Actor, version: ScorerVersion, other: ScorerVersion | None) -> dict[str, Any]:
    """What the page of two versions shows."""
    others = scorers.versions(actor, version.scorer.slug).exclude(pk=version.pk)[:100]
    told: dict[str, Any] = {"others": list(others), "backtest": None}
    if other is None or other.pk == version.pk:
        return told
    told["differences"] = differences(version, other)
    made = backtests.find_latest(actor, version, other)
    if made is not None:
        told |= {
            "backtest": made,
            "percent": round(100 * made.report["level"]),
            "tested": backtest_pages.part_of(made.report),
            "evaluation": backtest_pages.part_of(made.report["evaluation"]),
            "counts": [
                (name.replace("_", " ").capitalize(), n)
                for name, n in made.label_counts.items()
                if n
            ],
        }
    return told


def differences(version: ScorerVersion, other: ScorerVersion) -> list[Difference]:
    """The settings and facts of their fits in which two versions differ."""
    mine, theirs = (_flat(one) for one in (version, other))
    return [
        Difference(name, mine.get(name, "–"), theirs.get(name, "–"))
        for name in sorted(mine.keys() | theirs.keys())
        if mine.get(name) != theirs.get(name)
    ]


def _flat(version: ScorerVersion) -> dict[str, str]:
    config = version.config
    told: dict[str, Any] = {
        "kind": f"{version.kind}_v{version.kind_number}",
        "records": version.baseline.get("n_records"),
        "invariants": len((config.get("invariants") or {}).get("invariants", [])),
        "calibration": (version.baseline.get("calibration") or {}).get("method"),
        **{f"settings.{name}": value for name, value in config.get("settings", {}).items()},
    }
    told |= {
        f"detectors of {model['model']}": [part["name"] for part in model["detectors"]]
        for model in config.get("models", [])
        if "detectors" in model
    }
    return {
        name: codec.canonical(value).decode()[:_LONGEST]
        for name, value in told.items()
        if value is not None
    }
