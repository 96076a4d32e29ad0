"""Reads of verdicts."""

from collections.abc import Mapping
from uuid import UUID

from django.db.models import QuerySet

from oversight.lib import errors
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from review.models import Verdict

FILTERS = frozenset({"queue", "case"})
_PAGING = frozenset({"cursor", "limit", "project"})


def verdicts(actor: Actor, params: Mapping[str, str]) -> QuerySet[Verdict]:
    """The project's verdicts, oldest first; a reviewer sees their own alone.

    Raises:
        InvalidInput: an unknown filter or a value of the wrong form.
    """
    found = Verdict.objects.filter(project=actor.project)
    if "figures:read" not in actor.permissions:
        access.require(actor, "review")
        found = found.filter(reviewer=actor.user, ai_rater=actor.ai_rater)
    for name in params:
        if name not in FILTERS | _PAGING:
            raise errors.InvalidInput.at(name[:60], "there is no such filter", "unknown_filter")
    if "queue" in params:
        if "\x00" in params["queue"]:
            raise errors.InvalidInput.at("queue", "contains a NUL character")
        found = found.filter(case__queue__slug=params["queue"])
    if "case" in params:
        try:
            found = found.filter(case=UUID(params["case"]))
        except ValueError:
            raise errors.InvalidInput.at("case", "not a case id") from None
    return found.select_related("note", "rubric_version").order_by("created_at", "pk")
