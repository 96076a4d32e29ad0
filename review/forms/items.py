"""Forms with a list in them: buttons add, remove and move items, and all that was typed is kept.

The buttons submit the form, so that a page works without a script: the server rearranges the typed
values and shows the form again. Nothing is stored until "save".
"""

import re
from collections.abc import Mapping
from typing import Any

from django import forms

from oversight.lib import errors

_DO = re.compile(r"(remove|up|down)-([0-9]{1,3})")
_PATH = re.compile(r"(?P<list>[a-z]+)\[(?P<index>[0-9]+)\](\.(?P<field>[a-z_]+))?(?P<rest>.*)")


def rearranged(items: list[Any], do: str) -> list[Any] | None:
    """The items after a button was pressed; None where it was not one of these buttons."""
    if do == "add":
        return [*items, {}]
    match = _DO.fullmatch(do)
    if match is None:
        return None
    what, index = match[1], int(match[2])
    other = {"up": index - 1, "down": index + 1}.get(what, index)
    if not (0 <= index < len(items) and 0 <= other < len(items)):
        return items
    moved = list(items)
    if what == "remove":
        del moved[index]
    else:
        moved[index], moved[other] = moved[other], moved[index]
    return moved


def typed(formset: Any) -> list[dict[str, Any]]:
    """What stands in the fields of a bound formset, valid or not."""
    return [{name: form[name].value() for name in form.fields} for form in formset.forms]


def add_item_errors(
    form: forms.Form,
    formset: Any,
    error: errors.ApplicationError,
    aliases: Mapping[str, str] | None = None,
) -> None:
    """Put an application error's field errors at the fields of the items, or above the form.

    Args:
        form: the fields round the list.
        formset: bound; its prefix is the list's name in error paths.
        aliases: the form field that stands for a field of the plain data.
    """
    for found in error.errors:
        text = found.message[:1].upper() + found.message[1:]
        match = _PATH.fullmatch(found.path)
        if match is None or match["list"] != formset.prefix:
            form.add_error(found.path if found.path in form.fields else None, text)
            continue
        index, field = int(match["index"]), match["field"]
        if not 0 <= index < len(formset.forms):
            form.add_error(None, f"{found.path}: {text}")
            continue
        item = formset.forms[index]
        name = (aliases or {}).get(field, field)
        rest = match["rest"]
        item.add_error(name if name in item.fields else None, f"{rest} {text}" if rest else text)
    if not error.errors:
        form.add_error(None, error.message[:1].upper() + error.message[1:])
