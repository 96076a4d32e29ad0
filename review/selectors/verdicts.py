"""Reads of verdicts."""

from collections.abc import Mapping
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from oversight.lib import errors
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from review.models import Skip, Slot, Verdict

FILTERS = frozenset({"queue", "case"})
_PAGING = frozenset({"cursor", "limit", "project"})


def verdicts(actor: Actor, params: Mapping[str, str]) -> QuerySet[Verdict]:
    """The project's verdicts, oldest first; a reviewer sees their own alone.

    With `figures:read` all are seen, save those by others on cases that the actor may yet judge.

    Raises:
        InvalidInput: an unknown filter or a value of the wrong form.
    """
    found = Verdict.objects.filter(project=actor.project)
    if "figures:read" not in actor.permissions:
        access.require(actor, "review")
        found = found.filter(_mine(actor))
    elif "review" in actor.permissions and actor.can_review:
        found = found.filter(_mine(actor) | ~_may_yet_judge(actor))
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


def _mine(actor: Actor) -> Q:
    return Q(reviewer=actor.user, ai_rater=actor.ai_rater)


def _may_yet_judge(actor: Actor) -> Q:
    """Whether a verdict's case is in the actor's hands unanswered, or may come there."""
    case = {"case": OuterRef("case")}
    return (
        Q(
            Exists(
                Slot.objects.filter(
                    **case, state=Slot.State.OPEN, ai_rater__in={"", actor.ai_rater}
                )
            )
        )
        & ~Q(Exists(Verdict.objects.filter(_mine(actor), **case)))
        & ~Q(Exists(Skip.objects.filter(_mine(actor), **case)))
    )
