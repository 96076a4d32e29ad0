"""The strata of a window: three rules that share out every record, each to one stratum."""

from django.db.models import Q

from review import filters
from review.models import ReviewQueue
from review.models.queues import Stratum
from scoring.models import Action


def stratum_rule(stratum: str) -> Q:
    """Which records make up a stratum."""
    intervened = Q(action=Action.INTERVENE)
    return {
        Stratum.STREAM: ~intervened & Q(held_out=False),
        Stratum.EVALUATION: ~intervened & Q(held_out=True),
        Stratum.INTERVENED: intervened,
    }[Stratum(stratum)]


def candidate_rule(queue: ReviewQueue, stratum: str) -> Q:
    """Which records a queue's draw over a stratum may choose."""
    return filters.to_q(queue.project, queue.filter) & stratum_rule(stratum)
