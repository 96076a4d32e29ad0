"""Datasets: asked for as a job, built from one snapshot, complete or not there at all.

Files are written under a `.part` name and renamed when all are on the disk; only then does the
row get its manifest, which a trigger freezes.
"""

import re
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, Max, OuterRef
from django.db.models.functions import Now

from oversight.audit import services as audit
from oversight.jobs import services as jobs
from oversight.jobs.models import Job
from oversight.lib import codec, errors
from oversight.lib.folders import sync_folder
from oversight.lib.transactions import advisory_lock
from oversight.tenancy import access
from oversight.tenancy.actors import Actor, system_actor
from review.datasets import export, selection, snapshot
from review.datasets.columns import FORMATS, KINDS, LABEL_RULES
from review.datasets.labels import UNLABELLED_KINDS
from review.models import DatasetVersion, Question, ReviewQueue, Verdict

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Reports(Protocol):
    """What a build tells how far it is; raises where the job is not its own any more."""

    def report(self, done: int, total: int | None = None) -> None: ...


def ask_for_dataset(
    actor: Actor,
    *,
    name: str,
    queue: ReviewQueue,
    kind: str,
    format: str,
    question: str | None = None,
    filters: Mapping[str, Any] | None = None,
    label_rule: str | None = None,
    split: str | None = None,
) -> tuple[DatasetVersion, Job]:
    """A new version of a dataset, and the job that builds it.

    Raises:
        InvalidInput: at the field that is wrong.
    """
    access.require(actor, "datasets:write")
    if not _NAME.fullmatch(name):
        raise errors.InvalidInput.at("name", "lower-case letters, digits and hyphens", "name")
    _check_choice("kind", kind, KINDS)
    _check_choice("format", format, FORMATS)
    _check_choice("label_rule", label_rule or LABEL_RULES[0], LABEL_RULES)
    _check_question(queue, question)
    checked = selection.check_filters(filters or {}, split)
    with transaction.atomic():
        advisory_lock("dataset.number", actor.project.pk)
        last = DatasetVersion.objects.filter(project=actor.project, name=name).aggregate(
            number=Max("number")
        )
        dataset = DatasetVersion(
            project=actor.project,
            name=name,
            number=(last["number"] or 0) + 1,
            queue=queue,
            question=question or "",
            kind=kind,
            format=format,
            label_rule=label_rule or LABEL_RULES[0],
            filters=checked,
        )
        dataset.job = jobs.enqueue(actor, "review.tasks.export_dataset", dataset=str(dataset.pk))
        dataset.save()
        audit.record(
            actor,
            "dataset.asked",
            "dataset",
            dataset.pk,
            name=str(dataset),
            queue=queue.slug,
            kind=kind,
            filters=codec.digest(checked),
        )
    return dataset, dataset.job


def build(job: Job, progress: Reports) -> dict[str, Any]:
    """Carry out an export job; a second run of a finished one changes nothing."""
    dataset = DatasetVersion.objects.select_related("project", "queue").get(
        project=job.project, pk=job.arguments["dataset"]
    )
    if dataset.completed_at is not None:
        return _result(dataset)
    part = _prepare(dataset, job.attempts)
    found, _ = selection.rows_of(dataset)
    total = found.order_by().count()
    progress.report(0, total)
    try:
        with snapshot.take() as moment:
            manifest = export.write(
                dataset, moment, part, lambda done: progress.report(min(done, total))
            )
        with transaction.atomic():
            dataset = DatasetVersion.objects.select_for_update().get(pk=dataset.pk)
            if dataset.completed_at is not None:
                return _result(dataset)
            progress.report(total)  # the last moment at which the job may prove another's
            _publish(dataset, part, manifest)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return _result(dataset)


def withdraw_holding(actor: Actor, *, evidence_ids: list[int]) -> int:
    """Withdraw the datasets that may hold something of erased evidence; returns how many.

    Which rows a dataset holds is not kept, so every finished dataset of a queue in which the
    evidence had been judged by then is withdrawn: rather one too many.
    """
    judged = Verdict.objects.filter(
        case__queue=OuterRef("queue"),
        case__evidence__in=evidence_ids,
        created_at__lte=OuterRef("completed_at"),
    )
    with transaction.atomic():
        found = list(
            DatasetVersion.objects.select_for_update(of=("self",)).filter(
                Exists(judged),
                project=actor.project,
                completed_at__isnull=False,
                withdrawn_at=None,
            )
        )
        for dataset in found:
            DatasetVersion.objects.filter(pk=dataset.pk).update(withdrawn_at=Now())
            audit.record(actor, "dataset.withdrawn", "dataset", dataset.pk, name=str(dataset))
            transaction.on_commit(partial(shutil.rmtree, folder_of(dataset), ignore_errors=True))
    return len(found)


def folder_of(dataset: DatasetVersion) -> Path:
    """Where a dataset's files are once it is complete."""
    return _exports() / str(dataset.pk)


def _exports() -> Path:
    return Path(settings.DATA_DIR) / "exports"


def _prepare(dataset: DatasetVersion, attempt: int) -> Path:
    """A new folder to write into; those that killed workers left go."""
    exports = _exports()
    exports.mkdir(parents=True, exist_ok=True)
    for left in exports.glob(f"{dataset.pk}.*.part"):
        shutil.rmtree(left, ignore_errors=True)
    part = exports / f"{dataset.pk}.{attempt}.part"
    part.mkdir(mode=0o700)
    return part


def _publish(dataset: DatasetVersion, part: Path, manifest: dict[str, Any]) -> None:
    final = folder_of(dataset)
    # A worker that died between the rename and the commit left this; no row vouches for it.
    shutil.rmtree(final, ignore_errors=True)
    part.rename(final)
    sync_folder(final.parent)
    DatasetVersion.objects.filter(pk=dataset.pk).update(manifest=manifest, completed_at=Now())
    dataset.refresh_from_db()
    audit.record(
        system_actor(dataset.project, "worker"),
        "dataset.completed",
        "dataset",
        dataset.pk,
        name=str(dataset),
        rows=manifest["counts"]["rows"],
        manifest=codec.digest(manifest),
    )


def _result(dataset: DatasetVersion) -> dict[str, Any]:
    manifest = dataset.manifest
    assert manifest is not None
    return {
        "dataset": str(dataset.pk),
        "rows": manifest["counts"]["rows"],
        "withheld": manifest["withheld"],
    }


def _check_choice(field: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise errors.InvalidInput.at(field, f"one of {', '.join(choices)}", "unknown")


def _check_question(queue: ReviewQueue, question: str | None) -> None:
    if not question:
        return
    kinds = set(
        Question.objects.filter(
            version__rubric=queue.rubric_id, version__published_at__isnull=False, key=question
        ).values_list("kind", flat=True)
    )
    if not kinds:
        raise errors.InvalidInput.at(
            "question", "the queue's rubric asks no such question", "unknown_question"
        )
    if kinds & set(UNLABELLED_KINDS):
        raise errors.InvalidInput.at(
            "question", "a text or passages are no label; see the kind raw", "no_label"
        )
