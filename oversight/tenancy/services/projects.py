"""Making projects."""

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from oversight.audit import services as audit
from oversight.lib import codec, errors
from oversight.tenancy.actors import system_actor
from oversight.tenancy.models import SLUG, Membership, Project, Role, User

_MAX_NAME = 120


def create_project(*, slug: str, name: str, owner: User | None = None) -> Project:
    """A new, empty project; done by the operator, at the command line or by `up`.

    Raises:
        InvalidInput: the slug or name is not acceptable.
        Conflict: the slug is taken.
    """
    name = name.strip() or slug
    codec.check_storable(name, "name")
    if len(name) > _MAX_NAME:
        raise errors.InvalidInput.at("name", f"a name has at most {_MAX_NAME} characters")
    try:
        SLUG(slug)
    except ValidationError as error:
        raise errors.InvalidInput.at("slug", error.messages[0]) from None
    try:
        with transaction.atomic():
            project = Project.objects.create(slug=slug, name=name)
            actor = system_actor(project, "operator")
            audit.record(actor, "project.created", "project", project.pk, slug=slug)
            if owner is not None:
                Membership.objects.create(project=project, user=owner, role=Role.OWNER)
                audit.record(actor, "member.added", "user", owner.pk, role=Role.OWNER)
    except IntegrityError:
        raise errors.Conflict(f"there is a project {slug!r} already", code="taken") from None
    return project
