"""Finding or making the model version that a record names."""

import hashlib
from functools import lru_cache

from django.db import IntegrityError, transaction
from django.db.models import F

from oversight.lib import codec, errors
from oversight.tenancy.models import Project
from scoring.intake import content
from scoring.intake.wire import Model
from scoring.models import ModelVersion


def digest_of(model: Model) -> bytes:
    """SHA-256 of the five fields that make two model versions the same."""
    return hashlib.sha256(content.encode(model)).digest()


def resolve(project: Project, model: Model, digest: bytes) -> tuple[int, int | None]:
    """The key of the model version and its fingerprint dimension, if one is known.

    Raises:
        InvalidInput: the decoder settings are not a JSON object.
    """
    found = _cached(project.pk, digest)
    if found is None:
        row = _get_or_create(project, model, digest)
        return row.pk, row.fingerprint_dimension
    return found


def fix_dimension(version_id: int, dimension: int) -> int:
    """Set the dimension if nobody has; returns the one that holds."""
    ModelVersion.objects.filter(pk=version_id, fingerprint_dimension=None).update(
        fingerprint_dimension=dimension
    )
    held = ModelVersion.objects.values_list("fingerprint_dimension", flat=True).get(pk=version_id)
    assert held is not None
    return held


class _NotComplete(Exception):
    """Do not cache: the version is unknown, or has no dimension yet."""


@lru_cache(maxsize=4096)
def _complete(project_id: int, digest: bytes) -> tuple[int, int | None]:
    # Rows are frozen once their dimension is set, so only complete ones may be remembered.
    row = (
        ModelVersion.objects.filter(project_id=project_id, digest=digest)
        .values_list("pk", F("fingerprint_dimension"))
        .first()
    )
    if row is None or row[1] is None:
        raise _NotComplete
    return row[0], row[1]


def _cached(project_id: int, digest: bytes) -> tuple[int, int | None] | None:
    try:
        return _complete(project_id, digest)
    except _NotComplete:
        return None


def _get_or_create(project: Project, model: Model, digest: bytes) -> ModelVersion:
    decoder = codec.decode(bytes(model.decoder))
    if not isinstance(decoder, dict):
        raise errors.InvalidInput.at("model.decoder", "must be an object")
    fields = {
        "name": model.name,
        "version": model.version,
        "prompt_template": model.prompt_template,
        "role_format": model.role_format,
        "decoder": decoder,
    }
    found = ModelVersion.objects.filter(project=project, digest=digest).first()
    if found is not None:
        return found
    try:
        with transaction.atomic():
            return ModelVersion.objects.create(project=project, digest=digest, **fields)
    except IntegrityError:  # two batches met it first at once
        return ModelVersion.objects.get(project=project, digest=digest)


def forget() -> None:
    """Forget what this process has seen (tests roll rows back)."""
    _complete.cache_clear()
