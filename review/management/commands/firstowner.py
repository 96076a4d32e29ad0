"""`manage.py firstowner`: on an empty database, the first account with a first project."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from oversight.tenancy.actors import system_actor
from oversight.tenancy.services.people import create_first_owner
from oversight.tenancy.services.projects import create_project
from review.services.starter import equip_project

EMAIL = "owner@localhost"
PROJECT = "main"


class Command(BaseCommand):
    help = "Make the first account and project, if there is no account yet."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", default=EMAIL)
        parser.add_argument(
            "--tell", metavar="FILE", help="write the login there instead of printing it"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic():
            made = create_first_owner(email=options["email"])
            if made is None:
                self.stdout.write("there is an account already")
                return
            owner, password = made
            project = create_project(slug=PROJECT, name="Main", owner=owner)
            equip_project(system_actor(project, "firstowner"))
            login = f"{owner.email}  {password}"
            if options["tell"] is not None:
                # Before the commit: an account whose password nobody was told is a locked house.
                told = Path(options["tell"])
                told.touch(mode=0o600)
                told.write_text(login)
        if options["tell"] is None:
            self.stdout.write(login)
