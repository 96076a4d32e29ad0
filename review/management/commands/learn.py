"""`manage.py learn --project SLUG [--queue SLUG] [--question KEY] [--refit]`."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from oversight.lib.errors import ApplicationError
from oversight.tenancy.actors import system_actor
from oversight.tenancy.models import Project
from review.models import LearningRun
from review.selectors.queues import get_queue
from review.services import backtesting, learning, refitting
from review.services.learning_settings import settings_of

NOT_YET = 3


class Bar:
    """Progress on the terminal."""

    def __init__(self) -> None:
        self._bar = tqdm(total=None, unit="step", disable=None)

    def report(self, done: int, total: int | None = None) -> None:
        if total is not None:
            self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        self._bar.close()


class Command(BaseCommand):
    help = (
        "Learn from verdicts: estimate the score's calibration again and propose a scorer version "
        "with its backtest. Exits with 0 where it has looked, 3 where the verdicts do not support "
        "learning yet, 1 on errors."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--queue", metavar="SLUG", help="default: the project's setting")
        parser.add_argument(
            "--question", metavar="KEY", help="default: the setting, or the rubric's violation rule"
        )
        parser.add_argument(
            "--refit",
            action="store_true",
            help="fit the detectors anew, with verified violations, instead of the calibration",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"there is no project {options['project']!r}")
        actor = system_actor(project, "learn")
        bar = Bar()
        try:
            chosen = settings_of(project)
            queue = chosen.queue or backtesting.default_queue(project)
            if options["queue"]:
                queue = get_queue(actor, options["queue"])
            question = chosen.question if options["question"] is None else options["question"]
            backtesting.check_question(queue, question)
            if options["refit"]:
                told = refitting.refit(actor, queue=queue, question=question, progress=bar)
                self.stdout.write(
                    f"proposed {told['scorer']} v{told['version']}, by the backtest "
                    f"{told['verdict']}; weights {'' if told['weights_adopted'] else 'not '}adopted"
                )
                return
            run = learning.learn(actor, queue=queue, question=question, progress=bar)
        except ApplicationError as error:
            raise CommandError(error.message) from error
        finally:
            bar.close()
        self._tell(run)

    def _tell(self, run: LearningRun) -> None:
        if run.outcome == LearningRun.Outcome.WAITING:
            raise CommandError(f"nothing learnt: {run.reason}", returncode=NOT_YET)
        if run.version is None:
            self.stdout.write(f"kept {run.reference}: {run.reason}")
            return
        gain = run.report["comparison"]
        told = (
            f"{gain['value']:+.4f} nats ({gain['low']:+.4f} to {gain['high']:+.4f})"
            if (gain["value"] is not None)
            else gain["reason"]
        )
        state = "released by rule" if run.released_by_rule else "waits for a release"
        self.stdout.write(
            f"proposed {run.version} from {run.n_labels} verdicts: log loss {told} against "
            f"{run.reference}, {gain['says']}; {state}"
        )
