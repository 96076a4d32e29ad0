"""Finding or making the model version that a record names."""

import hashlib
from functools import lru_cache

from django.db import IntegrityError, transaction

from oversight.lib import codec, errors
from oversight.tenancy.models import Project
from scoring.intake import content
from scoring.intake.wire import Model
from scoring.models import ModelVersion


def digest_of(model: Model) -> bytes:
    """SHA-256 of the five fields that make two model versions the same."""
    plain = Model(
        model.name, model.version, model.prompt_template, model.role_format, model.decoder
    )
    return hashlib.sha256(content.encode(plain)).digest()


def resolve(project: Project, model: Model) -> int:
    """The key of the model version, made if it is new.

    Raises:
        InvalidInput: the decoder settings are not a JSON object.
    """
    digest = digest_of(model)
    try:
        return _key_of(project.pk, digest)
    except ModelVersion.DoesNotExist:
        return _get_or_create(project, model, digest).pk


@lru_cache(maxsize=8192)
def _key_of(project_id: int, digest: bytes) -> int:
    # Rows stay (by trigger), so a key that was found once holds; a miss raises and is not kept.
    return ModelVersion.objects.only("pk").get(project_id=project_id, digest=digest).pk


def dimension(version_id: int, seen: int) -> int:
    """The length of this model version's fingerprints: the first one ever seen fixes it.

    Args:
        version_id: the model version.
        seen: the length of the fingerprint at hand.
    """
    try:
        return _fixed_dimension(version_id)
    except ModelVersion.DoesNotExist:
        ModelVersion.objects.filter(pk=version_id, fingerprint_dimension=None).update(
            fingerprint_dimension=seen
        )
        return _fixed_dimension(version_id)


@lru_cache(maxsize=8192)
def _fixed_dimension(version_id: int) -> int:
    row = ModelVersion.objects.only("fingerprint_dimension").get(
        pk=version_id, fingerprint_dimension__isnull=False
    )
    assert row.fingerprint_dimension is not None
    return row.fingerprint_dimension


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
