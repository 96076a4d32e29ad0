"""Errors of services in Django's forms: each at its field, or above all where it has none."""

from django import forms

from oversight.lib import errors


def add_errors(form: forms.Form, error: errors.ApplicationError) -> None:
    """Put an application error's field errors where they belong in a bound form."""
    for field in error.errors:
        name = field.path.partition(".")[0].partition("[")[0]
        at = name if name in form.fields else None
        text = field.message if field.path == name else f"{field.path}: {field.message}"
        form.add_error(at, text[0].upper() + text[1:] if text else text)
    if not error.errors:
        form.add_error(None, error.message[0].upper() + error.message[1:])
