"""`manage.py fit-scorer --project SLUG [--kind ensemble|percentile] [--profile lean|full] …`."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from oversight.lib import codec
from oversight.lib.errors import ApplicationError
from oversight.tenancy.actors import Actor, system_actor
from oversight.tenancy.models import Project
from scoring.core.judgement import INVARIANTS
from scoring.core.scorers.ensemble_settings import PROFILES
from scoring.models import ScorerVersion
from scoring.services import fitting, guarding, kinds, scorers


def moment(text: str) -> datetime:
    found = parse_datetime(text)
    if found is None or found.tzinfo is None:
        raise CommandError(f"{text!r} is not a time with offset, as 2026-10-20T00:00:00Z")
    return found


def document(text: str) -> Mapping[str, Any]:
    """The invariants of a file, the starter pack's, or none."""
    if text in (guarding.STARTER, guarding.NONE):
        return guarding.chosen(text) or {}
    try:
        return codec.decode(Path(text).read_bytes())
    except OSError as error:
        raise CommandError(f"{text}: {error.strerror}") from error


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
        parser.add_argument(
            "--invariants",
            metavar="FILE|starter|none",
            help="checked beside the score; default: those of the version in use",
        )
        parser.add_argument(
            "--keep-fit",
            action="store_true",
            help="fit nothing: the version in use, with other --invariants",
        )
        parser.add_argument("--release", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"there is no project {options['project']!r}")
        actor = system_actor(project, "fit-scorer")
        try:
            version = _proposed(actor, options)
            if options["release"]:
                scorers.release(actor, version=version)
        except ApplicationError as error:
            told = [f"{found.path}: {found.message}" for found in error.errors]
            raise CommandError("\n".join([error.message, *told])) from error
        state = "released" if options["release"] else "proposed"
        n_invariants = len(version.config.get(INVARIANTS, {}).get("invariants", []))
        self.stdout.write(
            f"{state} {version.scorer.slug} v{version.number} ({version.kind}_v"
            f"{version.kind_number}) from {version.baseline.get('n_records', 0)} records, "
            f"{n_invariants} invariants"
        )


def _proposed(actor: Actor, options: dict[str, Any]) -> ScorerVersion:
    asked = options["invariants"]
    invariants = None if asked is None else document(asked)
    if options["keep_fit"]:
        if invariants is None:
            raise CommandError("--keep-fit needs --invariants")
        return guarding.guard(actor, invariants=invariants)
    kind, config = options["kind"], dict(options["config"])
    if options["profile"]:  # only an ensemble has one
        kind, config["profile"] = kind or "ensemble", options["profile"]
    return fitting.fit(
        actor,
        since=options["since"],
        until=options["until"],
        kind=kind,
        config=config,
        invariants=invariants,
    )
