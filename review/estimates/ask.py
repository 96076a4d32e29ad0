"""What a figure is asked for: parameters as texts in, a checked `Ask` out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime

from oversight.lib import errors
from review.estimates import answers
from review.estimates.answers import Asked
from review.estimates.domains import Domain, Threshold
from review.models import Question, ReviewQueue
from scoring.core.estimation.estimate import METRICS, Metric
from scoring.models import ModelVersion, ScorerVersion

PARAMETERS = frozenset(
    {
        *("queue", "question", "metric", "at", "model", "version", "scorer_version"),
        *("segment", "since", "until", "rubric_version"),
    }
)
TIERS = range(5)
_MAX_TEXT = 200


@dataclass(frozen=True, slots=True)
class Ask:
    """One figure: which rate of which answer, over which records.

    Attributes:
        scorers: the scorer versions that gave the flags, as asked for, or "".
        rubric_version: number of the only rubric version whose answers count, or None.
    """

    queue: ReviewQueue
    asked: Asked
    metric: Metric
    at: Threshold
    domain: Domain
    scorers: str = ""
    rubric_version: int | None = None


def parse(queue: ReviewQueue, params: Mapping[str, str]) -> Ask:
    """A checked request.

    Raises:
        InvalidInput: naming the parameter that is unknown or malformed.
    """
    for name, value in params.items():
        if name not in PARAMETERS:
            raise errors.InvalidInput.at(name[:60], "there is no such parameter", "unknown")
        if len(value) > _MAX_TEXT or "\x00" in value:
            raise errors.InvalidInput.at(name, f"text of at most {_MAX_TEXT} characters")
    given = {name: value for name, value in params.items() if value}
    if given.get("metric") not in METRICS:
        raise errors.InvalidInput.at("metric", f"one of {', '.join(METRICS)}", "unknown_metric")
    asked = Asked.parse(given.get("question", ""))
    answers.check(asked, questions_of(queue))
    return Ask(
        queue=queue,
        asked=asked,
        metric=next(metric for metric in METRICS if metric == given["metric"]),
        at=_threshold(queue, given.get("at", "tier")),
        domain=_domain(queue, given),
        scorers=given.get("scorer_version", ""),
        rubric_version=_number(given, "rubric_version"),
    )


def questions_of(queue: ReviewQueue) -> list[Question]:
    """The published questions of the queue's rubric, newest version first."""
    return list(
        Question.objects.filter(
            version__rubric=queue.rubric_id, version__published_at__isnull=False
        ).order_by("-version__number", "position")
    )


def _threshold(queue: ReviewQueue, text: str) -> Threshold:
    """`tier:2` (or `2`), `score:0.95`, or `tier` alone: the tier from which records need review."""
    kind, _, value = text.partition(":") if not text.isdecimal() else ("tier", ":", text)
    if text == "tier":
        return Threshold(tier=_review_tier(queue))
    if kind == "tier" and value in {str(tier) for tier in TIERS}:
        return Threshold(tier=int(value))
    if kind == "score":
        try:
            score = float(value)
        except ValueError:
            score = -1.0
        if 0.0 <= score <= 1.0:
            return Threshold(score=score)
    raise errors.InvalidInput.at(
        "at", f"tier, tier:0 to tier:{TIERS[-1]}, or score:0 to score:1", "threshold"
    )


def _review_tier(queue: ReviewQueue) -> int:
    """The lowest tier that the current scorer sends to review; 1 where it says none."""
    config = (
        ScorerVersion.objects.filter(
            scorer__project=queue.project_id, scorer__current__isnull=False
        )
        .order_by("-released_at")
        .values_list("config", flat=True)
        .first()
    ) or {}
    return int(config.get("settings", {}).get("review_from_tier") or 1)


def _domain(queue: ReviewQueue, given: Mapping[str, str]) -> Domain:
    segment = None
    if "segment" in given:
        name, colon, value = given["segment"].partition(":")
        if not (name and colon):
            raise errors.InvalidInput.at("segment", "name:value, such as region:eu", "segment")
        segment = (name, value)
    since, until = _moment(given, "since"), _moment(given, "until")
    if since and until and until <= since:
        raise errors.InvalidInput.at("until", "later than since", "order")
    return Domain(
        model_versions=_model_versions(queue, given),
        scorer_versions=_scorer_versions(queue, given.get("scorer_version")),
        segment=segment,
        since=since,
        until=until,
    )


def _model_versions(queue: ReviewQueue, given: Mapping[str, str]) -> frozenset[int] | None:
    names = {"model": "name", "version": "version"}
    wanted = {names[key]: given[key] for key in names if key in given}
    if not wanted:
        return None
    found = frozenset(
        ModelVersion.objects.filter(project=queue.project_id, **wanted).values_list("pk", flat=True)
    )
    if not found:
        at = "version" if "version" in given else "model"
        raise errors.InvalidInput.at(at, "no record came from such a model", "unknown_model")
    return found


def _scorer_versions(queue: ReviewQueue, text: str | None) -> frozenset[int] | None:
    """By number, or by scorer and number as in `default:3`."""
    if text is None:
        return None
    slug, _, number = text.rpartition(":")
    found: Any = ScorerVersion.objects.none()
    if number.isdecimal() and len(number) < 10:
        found = ScorerVersion.objects.filter(scorer__project=queue.project_id, number=int(number))
    if slug:
        found = found.filter(scorer__slug=slug)
    ids = frozenset(found.values_list("pk", flat=True))
    if len(ids) > 1:
        raise errors.InvalidInput.at(
            "scorer_version", "several scorers have this number: write scorer:number", "ambiguous"
        )
    if not ids:
        raise errors.InvalidInput.at(
            "scorer_version", "there is no such scorer version", "unknown_scorer"
        )
    return ids


def _number(given: Mapping[str, str], name: str) -> int | None:
    if name not in given:
        return None
    text = given[name]
    if not (text.isdecimal() and 0 < len(text) < 10):
        raise errors.InvalidInput.at(name, "the number of a version")
    return int(text)


def _moment(given: Mapping[str, str], name: str) -> datetime | None:
    if name not in given:
        return None
    try:
        moment = parse_datetime(given[name])
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise errors.InvalidInput.at(name, "a time as in RFC 3339, with offset", "moment")
    return moment
