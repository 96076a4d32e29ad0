"""`manage.py createkey PROJECT --scope …`: make an API key and print it once."""

import argparse
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from oversight.lib import clock, errors
from oversight.tenancy import selectors
from oversight.tenancy.actors import system_actor
from oversight.tenancy.models import Project, Scope, User
from oversight.tenancy.services import create_key


class Command(BaseCommand):
    help = "Make an API key of a project and print it, once, on the standard output."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", metavar="PROJECT", help="the project's slug")
        parser.add_argument(
            "--scope",
            dest="scopes",
            action="append",
            required=True,
            type=_scopes,
            metavar="SCOPE",
            help=f"repeat or separate by commas: {', '.join(Scope.values)}",
        )
        parser.add_argument("--name", default="made at the command line")
        rater = parser.add_mutually_exclusive_group()
        rater.add_argument(
            "--acts-as",
            metavar="EMAIL",
            help="the member whose verdicts a key with scope review gives (the first owner)",
        )
        rater.add_argument(
            "--ai-rater", default="", metavar="NAME", help="the AI rater whose verdicts it gives"
        )
        parser.add_argument("--expires-days", type=_positive, metavar="N")

    def handle(self, *args: Any, **options: Any) -> None:
        scopes = [scope for group in options["scopes"] for scope in group]
        days = options["expires_days"]
        try:
            project = selectors.get_project(options["project"])
            _, text = create_key(
                system_actor(project, "operator"),
                name=options["name"],
                scopes=scopes,
                expires_at=clock.now() + timedelta(days=days) if days else None,
                acts_as=_acts_as(project, scopes, options["acts_as"], options["ai_rater"]),
                ai_rater=options["ai_rater"],
            )
        except errors.ApplicationError as error:
            raise CommandError(error.message) from error
        self.stdout.write(text)
        self.stderr.write("This key is shown once; only its hash is stored.")


def _acts_as(project: Project, scopes: list[str], email: str | None, ai_rater: str) -> User | None:
    if email:
        return selectors.get_member(project, email)
    if Scope.REVIEW not in scopes or ai_rater:
        return None
    owner = selectors.find_first_owner(project)
    if owner is None:
        raise errors.InvalidInput("the project has no owner: say --acts-as EMAIL or --ai-rater")
    return owner


def _scopes(text: str) -> list[str]:
    scopes = [scope.strip() for scope in text.split(",") if scope.strip()]
    unknown = sorted(set(scopes) - set(Scope.values))
    if unknown or not scopes:
        raise argparse.ArgumentTypeError(f"not a scope: {text}")
    return scopes


def _positive(text: str) -> int:
    days = int(text)
    if not 0 < days <= 3650:
        raise argparse.ArgumentTypeError("from 1 to 3650 days")
    return days
