"""`manage.py fit-scorer --project SLUG [--kind ensemble|percentile] [--profile lean|full] …`."""

import json
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from oversight.lib.errors import ApplicationError
from oversight.tenancy.actors import system_actor
from oversight.tenancy.models import Project
from scoring.core.scorers.ensemble_settings import PROFILES
from scoring.services import fitting, kinds, scorers


def moment(text: str) -> datetime:
    found = parse_datetime(text)
    if found is None or found.tzinfo is None:
        raise CommandError(f"{text!r} is not a time with offset, as 2026-10-20T00:00:00Z")
    return found


class Command(BaseCommand):
    help = "Fit a scorer version to a window of records; --release puts it in use."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--since", type=moment, metavar="T")
        parser.add_argument("--until", type=moment, metavar="T")
        parser.add_argument(
            "--kind", choices=list(kinds.KINDS), help="default: what the window is enough for"
        )
        parser.add_argument(
            "--profile", choices=sorted(PROFILES), help="which detectors an ensemble has"
        )
        parser.add_argument("--config", type=json.loads, default={}, metavar="JSON")
        parser.add_argument("--release", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"there is no project {options['project']!r}")
        kind, config = options["kind"], dict(options["config"])
        if options["profile"]:  # only an ensemble has one
            kind, config["profile"] = kind or "ensemble", options["profile"]
        actor = system_actor(project, "fit-scorer")
        try:
            version = fitting.fit(
                actor,
                since=options["since"],
                until=options["until"],
                kind=kind,
                config=config,
            )
            if options["release"]:
                scorers.release(actor, version=version)
        except ApplicationError as error:
            raise CommandError(error.message) from error
        state = "released" if options["release"] else "proposed"
        self.stdout.write(
            f"{state} {version.scorer.slug} v{version.number} ({version.kind}_v"
            f"{version.kind_number}) from {version.baseline['n_records']} records"
        )
