"""How long a person stays signed in, and ending their sessions before."""

import time
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.db.models.functions import Now

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


class SessionStore(db.SessionStore):
    """Sessions in PostgreSQL that end when nobody has used them for long, or they began long ago.

    Their cookies alone would not: whatever is stored in a session gives it another full age.
    """

    PRECISION_SECONDS = 300  # a session is written so often at most to say that it is in use

    def load(self) -> dict[str, Any]:
        data: dict[str, Any] = super().load()
        if SESSION_KEY not in data:
            return data
        now = int(time.time())
        began, used = data.get("began", now), data.get("used", now)
        is_old = now - began > settings.SESSION_COOKIE_AGE
        if is_old or now - used > settings.SESSION_IDLE_SECONDS:
            self.delete()
            self._session_key = None
            return {}
        if "used" not in data or now - used > self.PRECISION_SECONDS:
            data |= {"began": began, "used": now}
            self.modified = True
        return data
