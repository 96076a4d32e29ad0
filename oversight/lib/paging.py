"""Keyset paging: a cursor says after which row to go on, so a page costs the same anywhere."""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from oversight.lib import codec, errors

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
LONGEST_WALK = 20_000


def limit_of(params: Mapping[str, str]) -> int:
    """The `limit` parameter, between 1 and `MAX_LIMIT`.

    Raises:
        InvalidInput: it is not such a number.
    """
    text = params.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= MAX_LIMIT):
        raise errors.InvalidInput.at("limit", f"a number from 1 to {MAX_LIMIT}")
    return int(text)


def encode_cursor(key: list[str | int]) -> str:
    return base64.urlsafe_b64encode(codec.encode(key)).decode().rstrip("=")


def decode_cursor(text: str) -> list[Any]:
    """The sort key inside a cursor.

    Raises:
        InvalidInput: the cursor was not made by `encode_cursor`.
    """
    try:
        key = codec.decode(base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, errors.InvalidInput):
        key = None
    if not isinstance(key, list) or not key:
        raise errors.InvalidInput.at("cursor", "this is not a cursor of this list")
    return key


@dataclass(frozen=True, slots=True)
class Walk:
    """How far one page may look for rows that a filter admits, where few may be admitted.

    Attributes:
        rows: the list without its filters, in the same order.
        until: narrows the filtered list to what comes no later than a row of `rows`.
    """

    rows: QuerySet[Any]
    until: Callable[[Any, Any], QuerySet[Any]]


def page(
    rows: QuerySet[Any],
    params: Mapping[str, str],
    *,
    after: Callable[[Any, list[Any]], QuerySet[Any]],
    key: Callable[[Any], list[str | int]],
    walk: Walk | None = None,
) -> tuple[list[Any], str | None]:
    """One page of an ordered queryset and the cursor of the next, or None at the end.

    Args:
        rows: ordered by the same columns as the key.
        params: the request's `cursor` and `limit`.
        after: narrows the queryset to what follows a key.
        key: a row's sort key.
        walk: bounds what a page looks at; it may then hold fewer rows than asked for, even none,
            and have a next one all the same.
    """
    limit = limit_of(params)
    edge = None
    try:
        position = decode_cursor(params["cursor"]) if params.get("cursor") else None
        if position is not None:
            rows = after(rows, position)
        if walk is not None:
            passed = walk.rows if position is None else after(walk.rows, position)
            edge = next(iter(passed[LONGEST_WALK : LONGEST_WALK + 1]), None)
    except (TypeError, ValueError, IndexError):
        raise errors.InvalidInput.at("cursor", "this is not a cursor of this list") from None
    if walk is not None and edge is not None:
        rows = walk.until(rows, edge)
    found = list(rows[: limit + 1])
    if len(found) > limit:
        return found[:limit], encode_cursor(key(found[limit - 1]))
    return found, encode_cursor(key(edge)) if edge is not None else None


def links(request: HttpRequest, following: str | None) -> dict[str, str]:
    """`next_url` and `first_url` of templates/_pagination.html; the filters go along."""
    query = request.GET.copy()
    is_first = not query.pop("cursor", None)
    first_url = "" if is_first else f"{request.path}?{query.urlencode()}"
    query["cursor"] = following or ""
    return {"next_url": f"?{query.urlencode()}" if following else "", "first_url": first_url}
