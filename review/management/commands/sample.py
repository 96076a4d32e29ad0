"""`manage.py sample --queue SLUG`: close the window and draw the queue's rounds now."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from oversight.lib.errors import ApplicationError
from oversight.tenancy.actors import system_actor
from review.models import ReviewQueue
from review.services import extra_rounds, rounds


class Command(BaseCommand):
    help = "Draw one sampling round per open window of a queue."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--queue", required=True, metavar="SLUG")
        parser.add_argument("--project", metavar="SLUG", help="needed where two share the slug")
        parser.add_argument("--budget", type=int, metavar="N", help="instead of the queue's own")

        parser.add_argument(
            "--again",
            action="store_true",
            help="draw once more every window that was drawn, from what its rounds have left",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        found = ReviewQueue.objects.select_related("project", "rubric").filter(
            slug=options["queue"]
        )
        if options["project"]:
            found = found.filter(project__slug=options["project"])
        queues = list(found[:2])
        if not queues:
            raise CommandError(f"there is no queue {options['queue']!r}")
        if len(queues) > 1:
            raise CommandError("several projects have a queue of this slug: name --project")
        try:
            actor, budget = system_actor(queues[0].project, "sample"), options["budget"]
            if options["again"]:
                span = extra_rounds.Span()
                drawn = extra_rounds.run(actor, queue=queues[0], span=span, budget=budget)
            else:
                drawn = rounds.run(actor, queue=queues[0], budget=budget)
        except ApplicationError as error:
            raise CommandError(error.message) from error
        if not drawn:
            self.stdout.write("nothing is left to draw")
        for made in drawn:
            self.stdout.write(
                f"round {made.pk}: {made.n_selected} of {made.n_candidates} "
                f"({made.stratum}, window {made.window.number})"
            )
