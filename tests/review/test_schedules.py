"""The schedule's ticks: what cannot be worked on in one project keeps no other waiting."""

from datetime import timedelta

import pytest
from django.db.models import Sum
from django.utils import timezone

from oversight.tenancy.each_project import ProjectsFailed
from review import tasks
from review.models import ReviewQueue, SamplingRound
from scoring.models import IngestBatch
from tests.factories import make_api, make_record

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(project, other_project):
    """Two projects with records that are due; the first has a queue that cannot be drawn."""
    for one in (project, other_project):
        answer = make_api(one).post("records", {"records": [make_record(i) for i in range(6)]})
        assert answer.json()["accepted"] == 6
    long_ago = timezone.now() - timedelta(days=1)
    IngestBatch.objects.update(created_at=long_ago)
    ReviewQueue.objects.update(created_at=long_ago)
    ReviewQueue.objects.filter(project=project).update(filter={"no such field": 1})


def test_a_queue_that_cannot_be_drawn_keeps_no_other_project_waiting(
    waiting, project, other_project
):
    with pytest.raises(ProjectsFailed, match=rf"^{project.slug} \(\w+\)$"):
        tasks.draw_due_rounds()
    assert not IngestBatch.objects.filter(window=None).exists()
    drawn = dict(SamplingRound.objects.values_list("project").annotate(Sum("n_candidates")))
    assert drawn == {other_project.pk: 6}
