"""`manage.py verify-round ID`: derive a stored round again; non-zero exit on a difference."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from review.models import SamplingRound
from review.services import verification


class Command(BaseCommand):
    help = "Derive a sampling round again from what is stored, and compare."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        made = (
            SamplingRound.objects.select_related("project", "queue", "window")
            .filter(pk=options["id"])
            .first()
        )
        if made is None:
            raise CommandError(f"there is no round {options['id']}")
        result = verification.verify_round(made)
        if result.outcome == verification.DIFFERENT:
            for difference in result.differences:
                self.stderr.write(difference)
            raise CommandError(f"round {made.pk} is DIFFERENT from what was stored")
        told = f"round {made.pk}: {result.outcome}"
        if result.n_missing:
            told += f" ({result.n_missing} of {made.n_candidates} candidates are gone)"
        self.stdout.write(told)
