"""How long a person stays signed in, and ending their sessions before."""

import time
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse

from oversight.tenancy.models import User


def end_sessions(user: User) -> int:
    """Delete every live session of a person; returns how many.

    A session's owner stands inside its signed data, so all live sessions are read: a sequential
    scan, paid when a member is removed and at no other time.
    """
    live = Session.objects.filter(expire_date__gt=Now())
    own = [
        session.session_key
        for session in live.iterator(chunk_size=500)
        if session.get_decoded().get(SESSION_KEY) == str(user.pk)
    ]
    return Session.objects.filter(session_key__in=own).delete()[0]


class SessionLimitMiddleware:
    """Ends a session that nobody has used for long, or that began too long ago.

    Its cookie alone would not: whatever is stored in a session gives it another full age.
    """

    PRECISION_SECONDS = 300  # a session is written so often at most to say that it is in use

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        session, now = request.session, int(time.time())
        if SESSION_KEY in session:
            began, used = session.get("began", now), session.get("used", now)
            if now - began > settings.SESSION_COOKIE_AGE or (
                now - used > settings.SESSION_IDLE_SECONDS
            ):
                session.flush()
            elif "used" not in session or now - used > self.PRECISION_SECONDS:
                session["began"], session["used"] = began, now
        return self.get_response(request)
