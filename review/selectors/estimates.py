"""Reads of figures: who may ask, and what is asked for."""

from collections.abc import Mapping

from oversight.lib import errors
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from review.estimates import ask, figures
from review.selectors.queues import get_queue

# A browser session names its project; it is no part of the question.
_NOT_ASKED = "project"


def get_figure(actor: Actor, params: Mapping[str, str]) -> figures.Figure:
    """The figure that the parameters ask for.

    Raises:
        InvalidInput: naming the parameter that is missing, unknown or malformed, or the clauses
            that changed between the answers.
        NotFound: no such queue in the project.
    """
    access.require(actor, "figures:read")
    if not params.get("queue"):
        raise errors.InvalidInput.at("queue", "the slug of a queue", "required")
    queue = get_queue(actor, params["queue"])
    given = {name: value for name, value in params.items() if name != _NOT_ASKED}
    return figures.figure(ask.parse(queue, given))
