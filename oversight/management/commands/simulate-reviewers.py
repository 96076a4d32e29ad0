"""`manage.py simulate-reviewers`: answer a demo queue from the truth, with stated errors.

For comparing figures with the truth; the verdicts go through the same services as people's, by
members who are named as simulated.
"""

import random
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from oversight.demo import projects
from oversight.demo.answers import answer
from oversight.tenancy.actors import Actor, member_actor, system_actor
from oversight.tenancy.models import Membership, Project, User
from oversight.tenancy.services import add_member
from review.models import ReviewQueue
from review.services import claims, verdicts


class Command(BaseCommand):
    help = "Claim and answer the cases of a demo project as simulated reviewers."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", default=projects.DIGITS, metavar="SLUG")
        parser.add_argument("--reviewers", type=int, default=3, metavar="N")
        parser.add_argument("--error-rate", type=float, default=0.05, metavar="P")
        parser.add_argument("--limit", type=int, metavar="N", help="verdicts at the most")
        parser.add_argument("--seed", type=int, default=1)

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"there is no project {options['project']!r}")
        if not 0 <= options["error_rate"] <= 1:
            raise CommandError("--error-rate is a share between 0 and 1")
        try:
            truth = projects.truth(project)
        except FileNotFoundError:
            raise CommandError(f"{project.slug} is not a project of the demo") from None
        chance = random.Random(options["seed"])  # noqa: S311  a simulation, repeatable on purpose
        reviewers = [_reviewer(project, n) for n in range(1, options["reviewers"] + 1)]
        given = wrong = 0
        with tqdm(total=options["limit"], unit="verdict", disable=None) as bar:
            for queue in ReviewQueue.objects.select_related("project", "rubric").filter(
                project=project
            ):
                turn = 0
                idle = 0
                while idle < len(reviewers) and given != options["limit"]:
                    actor = reviewers[turn % len(reviewers)]
                    turn += 1
                    errs = chance.random() < options["error_rate"]
                    if not _answer_next(actor, queue, truth, errs, chance):
                        idle += 1
                        continue
                    idle = 0
                    given += 1
                    wrong += errs
                    bar.update()
        self.stdout.write(
            f"{given} verdicts by {len(reviewers)} simulated reviewers, {wrong} wrong"
        )


def _reviewer(project: Project, number: int) -> Actor:
    email = f"simulated-{number}@localhost"
    user = User.objects.filter(email=email).first()
    if user is None:
        user = User(email=email, first_name=f"Simulated reviewer {number}")
        user.set_unusable_password()
        user.save()
    if not Membership.objects.filter(project=project, user=user).exists():
        add_member(system_actor(project, "demo"), user=user, role="reviewer")
    return member_actor(
        Membership.objects.select_related("project", "user").get(project=project, user=user)
    )


def _answer_next(
    actor: Actor,
    queue: ReviewQueue,
    truth: dict[str, bool],
    errs: bool,
    chance: random.Random,
) -> bool:
    claim = claims.claim_next(actor, queue=queue)
    if claim is None:
        return False
    is_violation = truth[claim.case.evidence.external_id] != errs
    assert claim.slot.rubric_version is not None
    verdicts.submit(
        actor,
        case_id=claim.case.pk,
        claim_token=claim.token,
        answers=answer(claim.slot.rubric_version.questions.all(), is_violation),
        seconds=round(chance.lognormvariate(3.2, 0.6), 1),  # median about 25 s
    )
    return True
