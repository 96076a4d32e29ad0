"""What tests of datasets share: asking for one and having it built."""

import pytest

from oversight.jobs.models import Job
from review import tasks
from review.services import datasets


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
