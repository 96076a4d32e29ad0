"""API keys: 256 random bits, shown once, stored as a hash beside a public prefix.

Keys are made by people and by the operator, never by keys, so that revoking a key ends all that it
could do. A person makes keys that speak for themselves, never for a colleague: a verdict has to
mean that the one it names has judged.
"""

import secrets
import string
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

from django.db import transaction
from django.db.models.functions import Now

from oversight.audit import services as audit
from oversight.lib import clock, codec, errors
from oversight.tenancy.access import KEY_PREFIX, require
from oversight.tenancy.actors import ROLE_PERMISSIONS, Actor
from oversight.tenancy.models import ApiKey, Membership, Scope, User

_PREFIX_ALPHABET = string.ascii_lowercase + string.digits  # no underscore: it ends the prefix
_PREFIX_LENGTH = 12
_MAX_NAME = 80


def create_key(
    actor: Actor,
    *,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime | None = None,
    acts_as: User | None = None,
    ai_rater: str = "",
) -> tuple[ApiKey, str]:
    """A key and its text, which is shown this once.

    Args:
        actor: a person or the operator.
        name: what people call the key.
        scopes: what it may do, of `Scope`.
        expires_at: aware, in the future; never where absent.
        acts_as: with scope `review`, the member whose verdicts the key gives.
        ai_rater: with scope `review`, the AI rater whose verdicts it gives, in place of a member.

    Raises:
        InvalidInput: a field is not acceptable, or the scope `review` comes without a rater.
        NotAllowed: the actor is a key, or the key would speak for somebody else.
    """
    require(actor, "keys:write")
    if actor.kind == "key":
        raise errors.NotAllowed("a key cannot make keys")
    name, ai_rater = name.strip(), ai_rater.strip()
    codec.check_storable({"name": name, "ai_rater": ai_rater})
    _check_fields(name, scopes, expires_at)
    _check_rater(actor, scopes, acts_as, ai_rater)
    prefix = "".join(secrets.choice(_PREFIX_ALPHABET) for _ in range(_PREFIX_LENGTH))
    secret = secrets.token_hex(32)
    with transaction.atomic():
        key = ApiKey.objects.create(
            project=actor.project,
            name=name,
            prefix=prefix,
            secret_hash=sha256(secret.encode()).digest(),
            scopes=sorted(set(scopes)),
            acts_as=acts_as,
            ai_rater=ai_rater,
            created_by=actor.user,
            expires_at=expires_at,
        )
        audit.record(
            actor,
            "key.made",
            "key",
            key.pk,
            name=name,
            scopes=key.scopes,
            acts_as=acts_as.pk if acts_as else None,
            ai_rater=ai_rater,
            expires_at=clock.rfc3339(expires_at) if expires_at else None,
        )
    return key, f"{KEY_PREFIX}{prefix}_{secret}"


def revoke_key(actor: Actor, *, key_id: int) -> None:
    """End a key at once.

    Raises:
        NotFound: the project has no such key.
        Conflict: it is revoked already.
    """
    require(actor, "keys:write")
    with transaction.atomic():
        key = ApiKey.objects.filter(project=actor.project, pk=key_id).first()
        if key is None:
            raise errors.NotFound("there is no such key in this project")
        if not ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=Now()):
            raise errors.Conflict("this key is revoked already", code="revoked")
        audit.record(actor, "key.revoked", "key", key.pk, name=key.name)


def _check_fields(name: str, scopes: Sequence[str], expires_at: datetime | None) -> None:
    if not 0 < len(name) <= _MAX_NAME:
        raise errors.InvalidInput.at("name", f"a name has 1 to {_MAX_NAME} characters")
    unknown = sorted(set(scopes) - set(Scope.values))
    if unknown or not scopes:
        raise errors.InvalidInput.at("scopes", f"one or more of {', '.join(Scope.values)}")
    if expires_at is not None and expires_at <= clock.now():
        raise errors.InvalidInput.at("expires_at", "this time has passed")


def _check_rater(actor: Actor, scopes: Sequence[str], acts_as: User | None, ai_rater: str) -> None:
    if len(ai_rater) > _MAX_NAME:
        raise errors.InvalidInput.at("ai_rater", f"a name has at most {_MAX_NAME} characters")
    given = (acts_as is not None) + bool(ai_rater)
    if given != (1 if Scope.REVIEW in scopes else 0):
        raise errors.InvalidInput.at(
            "acts_as",
            "a key with the scope review gives the verdicts of one member or of one named AI "
            "rater; another key gives none",
        )
    if acts_as is None:
        return
    if actor.kind == "user" and actor.user != acts_as:
        raise errors.NotAllowed("you can make keys that act as yourself, not as somebody else")
    membership = Membership.objects.filter(
        project=actor.project, user=acts_as, user__is_active=True
    ).first()
    if membership is None or "review" not in ROLE_PERMISSIONS[membership.role]:
        raise errors.InvalidInput.at("acts_as", "not a member who may review in this project")
