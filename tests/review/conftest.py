"""What tests of reviews share: reviewers by name, and datasets that are asked for and built."""

import pytest

from oversight.jobs.models import Job
from review import tasks
from review.services import datasets
from tests.factories import make_member


@pytest.fixture
def ada(project):
    return make_member(project)


@pytest.fixture
def bert(project):
    return make_member(project)


@pytest.fixture
def cleo(project):
    return make_member(project)


@pytest.fixture
def export(owner, queue):
    """Build a dataset as a worker does; returns its row and its rows of JSONL by split."""

    def make(kind="calibration", format="jsonl", **options):
        dataset, job = datasets.ask_for_dataset(
            owner, name="set", queue=queue, kind=kind, format=format, **options
        )
        assert tasks.export_dataset(str(job.pk)) == "done", Job.objects.get(pk=job.pk).error
        dataset.refresh_from_db()
        return dataset

    return make
