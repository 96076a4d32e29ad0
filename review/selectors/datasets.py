"""Reads of datasets and of their files."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import FileResponse

from oversight.lib import errors
from oversight.lib.clock import rfc3339
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from review.datasets.export import MANIFEST
from review.models import DatasetVersion
from review.services.datasets import folder_of

_TYPES = {
    ".jsonl": "application/x-ndjson",
    ".csv": "text/csv; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class DatasetFile:
    """A file of a complete dataset, to be streamed."""

    path: Path
    content_type: str
    download_name: str

    def as_response(self) -> FileResponse:
        """The file as a download, streamed from the disk."""
        return FileResponse(
            self.path.open("rb"),
            as_attachment=True,
            filename=self.download_name,
            content_type=self.content_type,
        )


def datasets(actor: Actor) -> QuerySet[DatasetVersion]:
    """The project's datasets, newest first."""
    access.require(actor, "datasets:read")
    return (
        DatasetVersion.objects.filter(project=actor.project)
        .select_related("project", "queue", "job")
        .order_by("-created_at", "-pk")
    )


def key_of(dataset: DatasetVersion) -> list[str | int]:
    """The key by which the list is paged."""
    return [dataset.created_at.isoformat(), str(dataset.pk)]


def datasets_after(rows: QuerySet[DatasetVersion], key: list[Any]) -> QuerySet[DatasetVersion]:
    """The datasets that follow a (created_at, id) key.

    Raises:
        ValueError: the key is none.
    """
    moment, dataset_id = datetime.fromisoformat(key[0]), UUID(key[1])
    return rows.filter(created_at__lte=moment).exclude(created_at=moment, pk__gte=dataset_id)


def get_dataset(actor: Actor, dataset_id: UUID) -> DatasetVersion:
    """A dataset of the actor's project.

    Raises:
        NotFound: none with this id in the project.
    """
    dataset = datasets(actor).filter(pk=dataset_id).first()
    if dataset is None:
        raise errors.NotFound("there is no such dataset")
    return dataset


def get_file(actor: Actor, dataset_id: UUID, name: str) -> DatasetFile:
    """A file of a dataset by its name in the manifest.

    Raises:
        NotFound: no such dataset, or its manifest names no such file.
        Conflict: the dataset is not complete.
        Gone: it was withdrawn, since it held what has been erased.
    """
    dataset = get_dataset(actor, dataset_id)
    if dataset.withdrawn_at is not None:
        raise errors.Gone("this dataset held what has been erased since: make a new version")
    if dataset.manifest is None:
        raise errors.Conflict("the dataset is not complete", extra={"state": status(dataset)})
    # Only names that we wrote ourselves reach the file system.
    if name not in {MANIFEST, *(fact["path"] for fact in dataset.manifest["files"])}:
        raise errors.NotFound("the dataset has no such file")
    path = folder_of(dataset) / name
    if not path.is_file():
        raise errors.Gone("the file is not on this machine any more")
    return DatasetFile(
        path=path,
        content_type=_TYPES[path.suffix],
        download_name=f"{dataset.name}-v{dataset.number}-{path.name}",
    )


def status(dataset: DatasetVersion) -> str:
    """complete, withdrawn, or how its job stands."""
    if dataset.withdrawn_at is not None:
        return "withdrawn"
    if dataset.completed_at is not None:
        return "complete"
    return dataset.job.status if dataset.job else "failed"


def as_summary(dataset: DatasetVersion) -> dict[str, Any]:
    """A dataset as a list tells it."""
    return {
        "id": str(dataset.pk),
        "name": dataset.name,
        "number": dataset.number,
        "queue": dataset.queue.slug,
        "question": dataset.question or None,
        "kind": dataset.kind,
        "format": dataset.format,
        "label_rule": dataset.label_rule,
        "filters": dataset.filters,
        "status": status(dataset),
        "job": str(dataset.job_id) if dataset.job_id else None,
        "rows": dataset.manifest["counts"]["rows"] if dataset.manifest else None,
        "created_at": rfc3339(dataset.created_at),
        "completed_at": rfc3339(dataset.completed_at) if dataset.completed_at else None,
        "withdrawn_at": rfc3339(dataset.withdrawn_at) if dataset.withdrawn_at else None,
    }


def as_answer(dataset: DatasetVersion) -> dict[str, Any]:
    """A dataset with its manifest, whose keys stand beside its own once it is complete."""
    return {**(dataset.manifest or {}), **as_summary(dataset)}
