"""Reads of figures: who may ask, what is asked for, and what a page shows of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from oversight.lib import errors
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from review.estimates import answers, ask, figures, hours
from review.estimates.answers import Asked
from review.estimates.ask import Ask
from review.estimates.figures import Figure
from review.models import ReviewQueue
from review.selectors.queues import get_queue
from scoring.core.estimation.estimate import METRICS
from scoring.models import ModelVersion

# A browser session names its project; it is no part of the question.
_NOT_ASKED = "project"
MAX_MODELS = 200  # offered in the form; any other can be asked for over the API

# Questions, or options of one, that are figures of their own: not violations of the model's
# limits, but harm of its caution.
OWN_FIGURES = {
    "Over-refusal": {"over-refusal", "over_refusal", "needless-refusal", "needless_refusal"},
    "Safe compliance": {"safe-compliance", "safe_compliance"},
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page of a figure shows.

    Attributes:
        main: the figure asked for.
        metrics: all metrics over the same records.
        own: figures of their own, such as over-refusal, with their names.
    """

    main: Figure
    metrics: Sequence[Figure]
    own: Sequence[tuple[str, Figure]]


def get_ask(actor: Actor, params: Mapping[str, str]) -> Ask:
    """What the parameters ask for.

    Raises:
        InvalidInput: naming the parameter that is missing, unknown or malformed.
        NotFound: no such queue in the project.
    """
    access.require(actor, "figures:read")
    if not params.get("queue"):
        raise errors.InvalidInput.at("queue", "the slug of a queue", "required")
    queue = get_queue(actor, params["queue"])
    return ask.parse(queue, {k: value for k, value in params.items() if k != _NOT_ASKED})


def get_figure(actor: Actor, params: Mapping[str, str]) -> Figure:
    """The figure that the parameters ask for.

    Raises:
        InvalidInput: as `get_ask`, or naming the clauses that changed between the answers.
        NotFound: no such queue in the project.
    """
    return figures.figure(get_ask(actor, params))


def get_shown(actor: Actor, params: Mapping[str, str]) -> Shown:
    """The figure with those that stand beside it on its page. Raises as `get_figure`."""
    wanted = get_ask(actor, params)
    found = figures.figures(wanted, METRICS)
    own = [
        (name, figures.figure(replace(wanted, asked=asked, metric="prevalence")))
        for name, asked in own_figures(offered(wanted.queue))
    ]
    return Shown(found[METRICS.index(wanted.metric)], found, own)


def get_curve(actor: Actor, params: Mapping[str, str]) -> hours.Curve:
    """What the hours of review bought. Raises as `get_figure`."""
    return hours.curve(get_ask(actor, params))


def offered(queue: ReviewQueue) -> list[tuple[Asked, str]]:
    """The figures that the newest version of the queue's rubric allows, each with its words."""
    questions = ask.questions_of(queue)
    newest = {questions[0].version_id} if questions else set()
    return answers.offered(one for one in questions if one.version_id in newest)


def own_figures(asked: Sequence[tuple[Asked, str]]) -> list[tuple[str, Asked]]:
    """Which of the figures offered stand for themselves, by name; a question before an option."""
    found = []
    for name, keys in OWN_FIGURES.items():
        fitting = [one for one, _ in asked if (one.option or one.key) in keys]
        found += [(name, one) for one in sorted(fitting, key=lambda one: one.option or "")[:1]]
    return found


def models(actor: Actor) -> list[ModelVersion]:
    """The project's newest model versions, by name."""
    newest = ModelVersion.objects.filter(project=actor.project).order_by("-pk")[:MAX_MODELS]
    return sorted(newest, key=lambda one: (one.name, one.version))
