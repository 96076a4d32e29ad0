"""`manage.py createproject SLUG`: a new project with its starter policy, rubric and queue."""

import secrets
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from oversight.lib import errors
from oversight.tenancy import selectors
from oversight.tenancy.actors import system_actor
from oversight.tenancy.models import User
from oversight.tenancy.services import create_first_owner, create_person, create_project
from review.services.starter import equip_project

FIRST_OWNER = "owner@localhost"


class Command(BaseCommand):
    help = "Make a project with a starter policy, a rubric and one review queue."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", metavar="SLUG", help="lower-case letters, digits and hyphens")
        parser.add_argument("--name", default="", help="what people call it (the slug)")
        parser.add_argument(
            "--owner",
            metavar="EMAIL",
            help="who owns it; an account is made for a new address (the installation's first "
            "person)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with transaction.atomic():
                owner, password = _owner(options["owner"])
                project = create_project(slug=options["slug"], name=options["name"], owner=owner)
                equip_project(system_actor(project, "operator"))
        except errors.ApplicationError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"Project {project.slug}: owned by {owner.email}.")
        if password:
            self.stdout.write(f"New account {owner.email}, password (shown once): {password}")


def _owner(email: str | None) -> tuple[User, str | None]:
    """The owner, and the password of an account that had to be made."""
    found = selectors.find_person(email) if email else selectors.find_first_person()
    if found is not None:
        return found, None
    first = create_first_owner(email=email or FIRST_OWNER)
    if first is not None:
        return first
    if email is None:
        raise errors.InvalidInput("no account is active: say --owner EMAIL")
    password = secrets.token_urlsafe(12)
    return create_person(email=email, password=password), password
