"""What the pages of policies and rubrics share: numbers in the address."""

from django.http import HttpRequest

from oversight.lib import errors


def number_of(request: HttpRequest, name: str, default: int | None) -> int | None:
    """A version's number from the query string.

    Raises:
        InvalidInput: it is not a number.
    """
    text = request.GET.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise errors.InvalidInput.at(name, "the number of a version")
    return int(text)


def earlier_version(request: HttpRequest, number: int) -> int:
    """The version to compare with: `?against=`, or the one before."""
    return number_of(request, "against", None) or number - 1
