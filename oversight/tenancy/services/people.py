"""Accounts. A person is known by e-mail address, lower-cased, and belongs to no project alone."""

import secrets

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from oversight.lib import codec, errors
from oversight.lib.transactions import advisory_lock
from oversight.tenancy.models import User

_MAX_NAME = 150


def create_person(*, email: str, password: str, name: str = "") -> User:
    """A new account.

    Raises:
        InvalidInput: the address, password or name is not acceptable, or the address is taken.
    """
    email = email.strip().lower()
    name = name.strip()
    codec.check_storable({"email": email, "name": name, "password": password})
    try:
        validate_email(email)
    except ValidationError as error:
        raise errors.InvalidInput.at("email", error.messages[0]) from None
    if len(name) > _MAX_NAME:
        raise errors.InvalidInput.at("name", f"a name has at most {_MAX_NAME} characters")
    check_password(password, User(email=email, first_name=name))
    try:
        with transaction.atomic():
            return User.objects.create_user(email, password, first_name=name)
    except IntegrityError:
        raise errors.InvalidInput.at(
            "email",
            "there is an account with this address already: log in, then open the link again",
            "taken",
        ) from None


def check_password(password: str, user: User) -> None:
    """Raise InvalidInput unless the password meets the rules of the settings."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise errors.InvalidInput(
            error.messages[0],
            errors=[errors.FieldError("password", "password", text) for text in error.messages],
        ) from None


def create_first_owner(*, email: str, password: str | None = None) -> tuple[User, str] | None:
    """The first account of an empty installation, with its password; None where one exists.

    Args:
        email: the address to log in with; a local one such as `owner@localhost` will do.
        password: made up where absent.

    Raises:
        InvalidInput: the address or password is not acceptable.
    """
    with transaction.atomic():
        advisory_lock("tenancy.first_owner", 0)  # two starts at once make one owner
        if User.objects.exists():
            return None
        password = password or secrets.token_urlsafe(12)
        return create_person(email=email, password=password), password
