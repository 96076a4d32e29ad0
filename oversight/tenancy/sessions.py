"""Ending a person's sessions."""

from django.contrib.auth import SESSION_KEY
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
