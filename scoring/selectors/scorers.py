"""Reads of scorers and their versions."""

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from oversight.lib import errors
from oversight.lib.clock import rfc3339
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from scoring import histograms
from scoring.models import InferenceRecord, Scorer, ScorerVersion

# How far back a version's records are looked for: bounds the cost, whatever the project holds.
RECENT_RECORDS = 10_000


@dataclass(frozen=True, slots=True)
class TierRow:
    """Records in a tier; the shares that reach at least it, in percent, None where unknown."""

    tier: int
    n: int
    reached: float | None
    expected: float | None


def get_scorer(actor: Actor, slug: str) -> Scorer:
    """A scorer of the actor's project.

    Raises:
        NotFound: none with this slug in the project.
    """
    access.require(actor, "figures:read")
    scorer = Scorer.objects.filter(project=actor.project, slug=slug).first()
    if scorer is None:
        raise errors.NotFound("there is no such scorer; the first is made with the first record")
    return scorer


def versions(actor: Actor, slug: str | None = None) -> QuerySet[ScorerVersion]:
    """The versions of the project's scorers, newest first, without what was fitted."""
    access.require(actor, "figures:read")
    found = ScorerVersion.objects.filter(scorer__project=actor.project)
    if slug is not None:
        found = found.filter(scorer=get_scorer(actor, slug))
    return (
        found.select_related("scorer", "released_by", "created_by").defer("state").order_by("-pk")
    )


def get_version(actor: Actor, slug: str, number: int) -> ScorerVersion:
    """A version of a scorer of the actor's project.

    Raises:
        NotFound: none with this slug and number in the project.
    """
    version = versions(actor, slug).filter(number=number).first()
    if version is None:
        raise errors.NotFound("there is no such version")
    return version


def is_current(version: ScorerVersion) -> bool:
    return version.scorer.current_id == version.pk


def tier_rows(version: ScorerVersion, scores: histograms.Histogram) -> list[TierRow]:
    """How many of the scored records are in each tier, and what the baseline led to expect."""
    rates = version.config.get("settings", {}).get("tier_rates")
    expected = [1.0, *rates] if rates else [None] * histograms.N_TIERS
    rows = []
    for tier, (n, rate) in enumerate(zip(scores.by_tier, expected, strict=True)):
        reached = sum(scores.by_tier[tier:])
        rows.append(
            TierRow(
                tier=tier,
                n=n,
                reached=100 * reached / scores.total if scores.total else None,
                expected=None if rate is None else 100 * rate,
            )
        )
    return rows


def recent_scores(version: ScorerVersion) -> histograms.Histogram:
    """Scores by tier of those of the project's newest records that this version has scored."""
    newest = (
        InferenceRecord.objects.of(version.scorer.project)
        .order_by("-id")
        .values_list("scorer_version", "score", "tier")[:RECENT_RECORDS]
    )
    return histograms.of_scores(
        (score, tier) for scored_by, score, tier in newest if scored_by == version.pk
    )


def as_answer(version: ScorerVersion) -> dict[str, Any]:
    """The version as the API tells it."""
    return {
        "scorer": version.scorer.slug,
        "number": version.number,
        "kind": version.kind,
        "kind_number": version.kind_number,
        "status": version.status,
        "is_current": is_current(version),
        "config": version.config,
        "digest": version.digest,
        "baseline": version.baseline,
        "created_at": rfc3339(version.created_at),
        "created_by": version.created_by_id and str(version.created_by_id),
        "released_at": version.released_at and rfc3339(version.released_at),
        "released_by": version.released_by_id and str(version.released_by_id),
    }
