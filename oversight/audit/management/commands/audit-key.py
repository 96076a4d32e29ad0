"""`manage.py audit-key`: the public keys that anybody can check the log's checkpoints with
(c2sp.org/signed-note)."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from oversight.audit import keys
from oversight.lib import errors
from oversight.tenancy import selectors


class Command(BaseCommand):
    help = "Print the verifier key of each project's audit log: name+hash+base64."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", metavar="SLUG", help="one project (all)")

    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["project"]
        try:
            projects = [selectors.get_project(slug)] if slug else selectors.all_projects()
            for project in projects:
                self.stdout.write(str(keys.signer(project).verifier))
        except (errors.NotFound, OSError, keys.UnusableKey) as error:
            raise CommandError(str(error)) from error
