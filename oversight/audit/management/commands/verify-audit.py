"""`manage.py verify-audit`: derive the audit log again and compare it with what is stored."""

from argparse import ArgumentTypeError
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from oversight.audit import selectors as audit_selectors
from oversight.audit.keys import UnusableKey
from oversight.audit.verify import Report, verify
from oversight.lib import errors
from oversight.lib.notes import Verifier
from oversight.tenancy import selectors
from oversight.tenancy.models import Project


class Command(BaseCommand):
    help = "Verify the audit log of one project or of all; fails at the first difference of any."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", metavar="SLUG", help="one project (all)")
        parser.add_argument(
            "--checkpoints",
            metavar="DIR",
            type=Path,
            help="a copy of the checkpoints kept elsewhere (the data folder's)",
        )
        parser.add_argument(
            "--trust",
            metavar="KEY",
            action="append",
            type=_verifier,
            help="a log's verifier key as `audit-key` told it, instead of the installation's own "
            "keys; give it again for each further key",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        directory = options["checkpoints"]
        if directory is not None and not directory.is_dir():
            raise CommandError(f"{directory} is not a folder")
        failed = 0
        for project in _projects(options["project"]):
            total = audit_selectors.count_links(project)
            with tqdm(total=total, unit="event", desc=project.slug, disable=None) as bar:
                report = _verified(project, options, bar.update)
            self.stdout.write(f"{project.slug}: {_told(report)}")
            failed += report.problem is not None
        if failed:
            raise CommandError(f"{failed} log(s) do not verify")


def _verifier(text: str) -> Verifier:
    try:
        return Verifier.parse(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error


def _verified(project: Project, options: dict[str, Any], progress: Callable[[int], None]) -> Report:
    try:
        return verify(
            project,
            directory=options["checkpoints"],
            verifiers=options["trust"],
            progress=progress,
        )
    except (OSError, UnusableKey) as error:
        raise CommandError(str(error)) from error


def _projects(slug: str | None) -> list[Project]:
    try:
        return [selectors.get_project(slug)] if slug else list(selectors.all_projects())
    except errors.NotFound as error:
        raise CommandError(error.message) from error


def _told(report: Report) -> str:
    counts = (
        f"{report.n_linked} events linked, {report.n_pending} pending, "
        f"{report.n_checkpoints} checkpoints hold"
    )
    if report.problem is None:
        blind = report.n_linked and not report.n_checkpoints
        root = b64encode(report.root).decode()
        warning = " (without checkpoints a cut tail is not seen)" if blind else ""
        return f"verified: {counts}, root {root}{warning}"
    where = f" at {report.sequence}" if report.sequence is not None else ""
    return f"DIFFERENCE{where}: {report.problem} (verified before it: {counts})"
