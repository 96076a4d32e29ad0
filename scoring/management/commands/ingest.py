"""`manage.py ingest FILE.ndjson[.gz] --project SLUG`: take in a file of records."""

import gzip
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from oversight.tenancy.actors import system_actor
from oversight.tenancy.models import Project
from scoring.services.ingest import ingest

_SHOWN = 20


class Command(BaseCommand):
    help = "Take in records from a file, one JSON object a line; a replay adds none."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--batch", type=int, default=500, metavar="N")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"there is no project {options['project']!r}")
        path: Path = options["file"]
        if not path.is_file():
            raise CommandError(f"there is no file {path}")
        actor = system_actor(project, "ingest")
        counts = {"accepted": 0, "duplicate": 0, "rejected": 0}
        first_line = 1
        with (
            path.open("rb") as raw,
            tqdm(total=path.stat().st_size, unit="B", unit_scale=True, disable=None) as bar,
        ):
            lines: IO[bytes] | gzip.GzipFile = (
                gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            )
            for batch in _batches(lines, max(1, options["batch"])):
                outcome = ingest(actor, slices=batch)
                for result in outcome.results:
                    counts[result.status] += 1
                    if result.status == "rejected" and counts["rejected"] <= _SHOWN:
                        self._complain(first_line + result.index, result)
                first_line += len(batch)
                bar.update(raw.tell() - bar.n)
        self.stdout.write(
            f"{counts['accepted']} accepted, {counts['duplicate']} duplicates, "
            f"{counts['rejected']} rejected"
        )
        if counts["rejected"]:
            raise CommandError(f"{counts['rejected']} records were rejected")

    def _complain(self, line: int, result: Any) -> None:
        told = "; ".join(f"{e.path}: {e.message}" for e in result.errors)
        self.stderr.write(f"record {line} ({result.external_id}): {told}")


def _batches(lines: Any, size: int) -> Iterator[list[bytes]]:
    filled = (line for line in lines if line.strip())
    while batch := list(islice(filled, size)):
        yield batch
