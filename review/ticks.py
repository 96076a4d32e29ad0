"""The short tick of the review floor, whose worker must import nothing heavy."""

from celery import shared_task

from review.services import reconciliation


@shared_task(name="review.ticks.reconcile")
def reconcile() -> dict[str, int]:
    return reconciliation.reconcile()
