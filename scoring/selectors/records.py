"""Reads of records. Every query starts from a project and bounds the id where a time is given."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime

from oversight.lib import errors, paging
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from oversight.tenancy.models import Project
from scoring.models import Action, InferenceRecord, RecordPayload
from scoring.models.records import RecordQuerySet

FILTERS = frozenset(
    {"model", "version", "tier", "action", "region", "occurred_after", "occurred_before"}
)
_TOLD_BY_SCORE = frozenset({"tier", "action"})
_BOUNDS = frozenset({"occurred_after", "occurred_before"})  # of the order itself
_PAGING = frozenset({"cursor", "limit", "project"})


def get_record(actor: Actor, record_id: UUID) -> InferenceRecord:
    """A record of the actor's project.

    Raises:
        NotFound: none with this id in the project.
    """
    access.require(actor, "records:read")
    record = (
        InferenceRecord.objects.of(actor.project)
        .filter(pk=record_id)
        .prefetch_related("model_version", "scorer_version__scorer")
        .first()
    )
    if record is None:
        raise errors.NotFound("there is no such record")
    return record


def find_payload(record_id: UUID) -> RecordPayload | None:
    return RecordPayload.objects.filter(pk=record_id).first()


def records(
    actor: Actor, params: Mapping[str, str], *, withheld: Collection[UUID] = ()
) -> RecordQuerySet:
    """The project's records that match the allow-listed filters, newest first.

    Args:
        withheld: records whose scores the actor is not to know; a filter that would tell of the
            score leaves them out.

    Raises:
        InvalidInput: an unknown filter or a value of the wrong form.
    """
    access.require(actor, "records:read")
    for name in params:
        if name not in FILTERS | _PAGING:
            raise errors.InvalidInput.at(name[:60], "there is no such filter", "unknown_filter")
    found = _by_model(actor.project, _by_time(actor.project, params), params)
    if "tier" in params:
        if params["tier"] not in {"0", "1", "2", "3", "4"}:
            raise errors.InvalidInput.at("tier", "a tier from 0 to 4")
        found = found.filter(tier=int(params["tier"]))
    if "action" in params:
        by_label = {action.label: action for action in Action}
        if params["action"] not in by_label:
            raise errors.InvalidInput.at("action", "pass, review or intervene")
        found = found.filter(action=by_label[params["action"]])
    if "region" in params:
        found = found.filter(region=_text(params, "region"))
    if withheld and _TOLD_BY_SCORE & params.keys():
        found = found.exclude(pk__in=list(withheld))
    return found.prefetch_related("model_version", "scorer_version").order_by("-id")


def walk(actor: Actor, params: Mapping[str, str]) -> paging.Walk | None:
    """How far a page of `records` looks where a filter may admit few; None where none does.

    The index gives the order alone: an index for every filter would cost ingest more than a second
    look costs a reader.
    """
    if not FILTERS & params.keys() - _BOUNDS:
        return None
    return paging.Walk(
        rows=_by_time(actor.project, params).order_by("-id").only("id"),
        until=lambda rows, edge: rows.filter(id__gte=edge.pk),
    )


def records_after(rows: QuerySet[Any], key: list[Any]) -> QuerySet[Any]:
    """The records that follow an (id) key of `records`.

    Raises:
        ValueError: the key is none.
    """
    return rows.filter(id__lt=UUID(str(key[0])))


def _by_time(project: Project, params: Mapping[str, str]) -> RecordQuerySet:
    return InferenceRecord.objects.of(project).within(
        since=_moment(params, "occurred_after"), until=_moment(params, "occurred_before")
    )


def _by_model(project: Project, found: RecordQuerySet, params: Mapping[str, str]) -> RecordQuerySet:
    names = {"model": "name", "version": "version"}
    wanted = {names[key]: _text(params, key) for key in names if key in params}
    if not wanted:
        return found
    # As literals: a join would be planned over all partitions.
    versions = project.model_versions.filter(**wanted).values_list("pk", flat=True)
    return found.filter(model_version__in=list(versions))


def _text(params: Mapping[str, str], name: str) -> str:
    if "\x00" in params[name]:
        raise errors.InvalidInput.at(name, "contains a NUL character")
    return params[name]


def _moment(params: Mapping[str, str], name: str) -> datetime | None:
    if name not in params:
        return None
    try:
        moment = parse_datetime(params[name])
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise errors.InvalidInput.at(name, "a time as in RFC 3339, with offset")
    return moment
