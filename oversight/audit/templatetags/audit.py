"""How the log's page prints values. What comes out is text, and is escaped as such."""

import json
from typing import Any

from django import template

register = template.Library()


@register.filter
def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True)


@register.filter
def in_words(name: str) -> str:
    """`object_type` as `Object type`."""
    return name.replace("_", " ").capitalize()
