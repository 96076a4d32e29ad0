"""Slugs and names of policies, rubrics and queues: one rule for all."""

from typing import Any

from django.core.exceptions import ValidationError

from oversight.lib import codec
from oversight.lib.errors import InvalidInput
from oversight.tenancy.models import SLUG

_MAX_NAME = 120


def check_slug(slug: Any) -> str:
    """The slug, or InvalidInput at `slug`."""
    try:
        if not isinstance(slug, str):
            raise ValidationError("a text")
        SLUG(slug)
    except ValidationError as error:
        raise InvalidInput.at("slug", error.messages[0]) from None
    return slug


def check_name(name: Any, default: str) -> str:
    """The name without outer spaces, or `default` where it is blank; InvalidInput at `name`."""
    if not isinstance(name, str) or len(name) > _MAX_NAME:
        raise InvalidInput.at("name", f"at most {_MAX_NAME} characters of text")
    codec.check_storable(name, "name")
    return name.strip() or default
