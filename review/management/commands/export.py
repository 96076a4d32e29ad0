"""`manage.py export`: build a dataset and copy its files into a folder."""

import shutil
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from oversight.jobs import services as jobs
from oversight.jobs.models import Job
from oversight.lib.errors import ApplicationError
from oversight.tenancy.actors import system_actor
from oversight.tenancy.models import Project
from review.datasets.columns import FORMATS, KINDS, LABEL_RULES, SPLITS
from review.models import DatasetVersion, ReviewQueue
from review.services import datasets

_POLL_SECONDS = 1.0


class Command(BaseCommand):
    help = "Export verdicts or resolved cases as a dataset with manifest, card and checksums."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--kind", required=True, choices=KINDS)
        parser.add_argument("--format", required=True, choices=FORMATS)
        parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="new or empty")
        parser.add_argument("--queue", metavar="SLUG", help="needed where there are several")
        parser.add_argument("--name", metavar="NAME", help="of the dataset (queue and kind)")
        parser.add_argument("--question", metavar="KEY", help="the label (violation or not)")
        parser.add_argument("--label-rule", choices=LABEL_RULES)
        parser.add_argument("--split", choices=SPLITS)

    def handle(self, *args: Any, **options: Any) -> None:
        out: Path = options["out"]
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise CommandError(f"{out} is not an empty folder")
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"there is no project {options['project']!r}")
        queue = _queue(project, options["queue"])
        try:
            dataset, job = datasets.ask_for_dataset(
                system_actor(project, "export"),
                name=options["name"] or f"{queue.slug}-{options['kind']}"[:63],
                queue=queue,
                kind=options["kind"],
                format=options["format"],
                question=options["question"],
                label_rule=options["label_rule"],
                split=options["split"],
            )
            _carry_out(job)
        except ApplicationError as error:
            raise CommandError(error.message) from error
        dataset.refresh_from_db()
        self._hand_out(dataset, out)

    def _hand_out(self, dataset: DatasetVersion, out: Path) -> None:
        manifest = dataset.manifest
        assert manifest is not None
        try:
            shutil.copytree(datasets.folder_of(dataset), out, dirs_exist_ok=True)
        except OSError as error:
            raise CommandError(f"the files could not be copied to {out}: {error}") from error
        self.stdout.write(f"{dataset}: {manifest['counts']['rows']} rows in {out}")
        for reason, n in manifest["withheld"].items():
            self.stdout.write(f"withheld, {reason}: {n}")


class _Shown:
    """Progress that is reported and drawn."""

    def __init__(self, progress: datasets.Reports, bar: "tqdm[Any]") -> None:
        self._progress = progress
        self._bar = bar

    def report(self, done: int, total: int | None = None) -> None:
        self._progress.report(done, total)
        if total is not None:
            self._bar.total = total
        self._bar.update(done - self._bar.n)


def _queue(project: Project, slug: str | None) -> ReviewQueue:
    found = ReviewQueue.objects.filter(project=project).select_related("project", "rubric")
    if slug:
        found = found.filter(slug=slug)
    queues = list(found[:2])
    if not queues:
        raise CommandError(f"the project has no queue {slug!r}" if slug else "there is no queue")
    if len(queues) > 1:
        raise CommandError("the project has several queues: name one with --queue")
    return queues[0]


def _carry_out(job: Job) -> None:
    """Do the job here, or watch the worker that was faster."""
    with tqdm(unit=" rows", disable=None) as bar:
        jobs.run(job.pk, lambda job, progress: datasets.build(job, _Shown(progress, bar)))
        job.refresh_from_db()
        while job.status in (Job.Status.QUEUED, Job.Status.RUNNING):
            time.sleep(_POLL_SECONDS)
            job.refresh_from_db()
            bar.total = job.total
            bar.update(job.done - bar.n)
    if job.status != Job.Status.DONE:
        raise CommandError(job.error or f"the job is {job.status}")
