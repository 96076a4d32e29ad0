"""allauth's seams: nobody signs up by themselves, and who came in or was refused is logged.

The log names people by number and clients by address, never what was typed.
"""

import logging
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import RateLimited
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from oversight.tenancy.models import User

logger = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        try:
            super().pre_authenticate(request, **credentials)
        except (ValidationError, RateLimited):
            logger.warning("too many sign-ins were tried", extra=_about(request))
            raise

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        logger.warning("a sign-in was refused", extra=_about(request))

    def login(self, request: HttpRequest, user: User) -> None:
        super().login(request, user)
        logger.info("signed in", extra=_about(request, user))

    def logout(self, request: HttpRequest) -> None:
        about = _about(request, request.user)
        super().logout(request)
        logger.info("signed out", extra=about)

    def set_password(self, user: User, password: str) -> None:
        super().set_password(user, password)
        logger.info("a password was changed", extra={"actor": f"user {user.pk}"})


def _about(request: HttpRequest, user: Any = None) -> dict[str, str]:
    about = {"address": str(request.META.get("REMOTE_ADDR", ""))}
    return about if user is None else {**about, "actor": f"user {user.pk}"}
