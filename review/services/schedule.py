"""What the schedule draws, every closed window for every queue that existed by then, and refits.

A worker that died between closing a window and drawing it leaves a window without rounds, one that
died after drawing it a window without counts; the next tick finds both here.
"""

from oversight.tenancy.actors import Actor
from review.models import ReviewQueue
from review.services import populations, posteriors, rounds


def draw_missing(actor: Actor) -> int:
    """Draw what is missing in the actor's project; returns the number of rounds."""
    drawn = 0
    queues = ReviewQueue.objects.select_related("project", "rubric").order_by("pk")
    for queue in queues.filter(project=actor.project):
        populations.count_missing(queue)
        for window in [] if queue.is_paused else rounds.undrawn_windows(queue):
            if window.closed_at >= queue.created_at:
                drawn += len(rounds.draw_window(actor, queue=queue, window=window))
    return drawn


def refit(actor: Actor) -> int:
    """Fit the posteriors of the actor's project anew; returns how many queues have a new one."""
    queues = ReviewQueue.objects.select_related("project", "rubric").order_by("pk")
    return sum(
        posteriors.refresh(actor, queue=queue, anew=True) is not None
        for queue in queues.filter(project=actor.project, is_paused=False)
    )
