"""What the endpoints of policies and rubrics share: lists, diffs, the stale-write guard."""

from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request

from oversight.lib import errors, paging
from oversight.lib.clock import rfc3339
from review.diffs import Change
from review.models.publishing import Version, VersionStatus

PAGING = [OpenApiParameter("cursor", str), OpenApiParameter("limit", int)]
AGAINST = OpenApiParameter(
    "against", int, description="The earlier version; the one before where absent."
)


class NamedInSerializer(serializers.Serializer[Any]):
    slug = serializers.SlugField(max_length=63)
    name = serializers.CharField(max_length=120, required=False, allow_blank=True)


class NamedSerializer(serializers.Serializer[Any]):
    """A policy or rubric; numbers of versions are null where there is none."""

    slug = serializers.CharField()
    name = serializers.CharField()
    published = serializers.IntegerField(allow_null=True)
    draft = serializers.IntegerField(allow_null=True)
    latest = serializers.IntegerField(allow_null=True)


class NamedPageSerializer(serializers.Serializer[Any]):
    results = NamedSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class VersionSerializer(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    status = serializers.ChoiceField(VersionStatus.choices)
    changelog = serializers.CharField()
    digest = serializers.CharField()
    created_at = serializers.DateTimeField()
    published_at = serializers.DateTimeField(allow_null=True)


class PublishSerializer(serializers.Serializer[Any]):
    digest = serializers.CharField(
        required=False, help_text="Of the draft that was read; another one is a conflict."
    )


class ChangeSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    change = serializers.ChoiceField(["same", "changed", "added", "removed"])
    texts = serializers.DictField(help_text="Runs {op, text} by field; op: equal, insert, delete.")
    fields_changed = serializers.DictField(help_text="[before, after] by field.")


def valid(kind: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The request's body as the serializer reads it: fields that it does not name are dropped."""
    form = kind(data=request.data)
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)


def named(row: Any) -> dict[str, Any]:
    """A policy or rubric as a list tells it."""
    return {
        "slug": row.slug,
        "name": row.name,
        "published": row.published,
        "draft": row.draft,
        "latest": row.latest,
    }


def named_page(rows: "QuerySet[Any]", request: Request) -> dict[str, Any]:
    """A page of rows ordered by slug."""
    found, following = paging.page(
        rows,
        request.query_params,
        after=lambda rows, key: rows.filter(slug__gt=str(key[0])),
        key=lambda row: [row.slug],
    )
    return {"results": [named(row) for row in found], "next": following}


def version_page(rows: "QuerySet[Any]", request: Request, tell: Any) -> dict[str, Any]:
    """A page of versions, newest first."""
    found, following = paging.page(
        rows,
        request.query_params,
        after=lambda rows, key: rows.filter(number__lt=int(key[0])),
        key=lambda row: [row.number],
    )
    return {"results": [tell(row) for row in found], "next": following}


def version(row: Version) -> dict[str, Any]:
    """What every version tells."""
    return {
        "number": row.number,
        "status": row.status,
        "changelog": row.changelog,
        "digest": row.digest,
        "created_at": rfc3339(row.created_at),
        "published_at": rfc3339(row.published_at) if row.published_at else None,
    }


def against(request: Request, number: int) -> int:
    """The version to compare with.

    Raises:
        InvalidInput: `against` is not a number.
    """
    text = request.query_params.get("against", str(number - 1))
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise errors.InvalidInput.at("against", "the number of a version")
    return int(text)


def change(told: Change) -> dict[str, Any]:
    return {
        "key": told.key,
        "change": told.change,
        "texts": {name: [asdict(run) for run in runs] for name, runs in told.texts.items()},
        "fields_changed": {name: list(pair) for name, pair in told.fields.items()},
    }
