"""Where the search for a reviewer's next case begins."""

from django.db import models

from oversight.tenancy.models import User
from review.models.queues import ReviewQueue

# Before and behind every rank.
FIRST = -(2**63) + 1
LAST = 2**63 - 1


class Frontier(models.Model):
    """Of one reviewer or AI rater in one queue: of every case with a place open below `rank`, they
    have answered or skipped it. Without a row, it lies before all.
    """

    queue = models.ForeignKey(ReviewQueue, on_delete=models.CASCADE, related_name="+")
    reviewer = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    ai_rater = models.CharField(max_length=80, blank=True)
    rank = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["queue", "reviewer"],
                condition=models.Q(reviewer__isnull=False),
                name="frontier_of_reviewer",
            ),
            models.UniqueConstraint(
                fields=["queue", "ai_rater"],
                condition=~models.Q(ai_rater=""),
                name="frontier_of_rater",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ai_rater or self.reviewer_id} in {self.queue_id}: {self.rank}"
