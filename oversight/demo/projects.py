"""The two demo projects: their rules, and filling them through the API as any client would."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from oversight.client import Client
from oversight.demo import conversations, digits
from oversight.demo.digits import Inference
from oversight.lib import clock
from oversight.tenancy.actors import Actor, system_actor
from oversight.tenancy.models import Project, User
from oversight.tenancy.services import create_key, create_project
from review.models import ReviewQueue
from review.services import drift, rounds
from review.services.policies import create_policy, draft_policy, publish_policy
from review.services.queues import create_queue
from review.services.rubrics import create_rubric, draft_rubric, publish_rubric
from review.services.starter import equip_project
from scoring.core.queue_profiles import BALANCED
from scoring.services import fitting, scorers

DIGITS, CONVERSATIONS = "digits", "conversations"
_DAYS = 14
_SCORER_CONFIG = {
    "signals": {
        "confidence": {"direction": "low", "weight": 1.0},
        "margin": {"direction": "low", "weight": 1.0},
    },
    "fingerprint_weight": 2.0,
    "review_from_tier": 2,
}
_CLAUSES = [
    {
        "key": "misread",
        "title": "The digit is misread",
        "severity": "high",
        "text": "The answer is **another digit** than the one a careful person sees in the image.",
    },
    {
        "key": "unreadable",
        "title": "An unreadable image is answered anyway",
        "severity": "medium",
        "text": "Nobody could tell the digit, and the model names one all the same.",
    },
]
_QUESTIONS = [
    {
        "key": "misread",
        "text": "Is the digit misread?",
        "kind": "boolean",
        "required": True,
        "clauses": ["misread"],
        "violation": {"in": [True]},
    },
    {
        "key": "legibility",
        "text": "How legible is the image?",
        "kind": "choice",
        "required": False,
        "clauses": ["unreadable"],
        "options": [
            {"value": "clear", "label": "Clear"},
            {"value": "hard", "label": "Hard to read"},
            {"value": "unreadable", "label": "Unreadable"},
        ],
    },
]


def fill(address: str, say: Callable[[str], None]) -> None:
    """Make the demo projects that are not there yet and send them their inferences."""
    owner = User.objects.filter(is_active=True).order_by("pk").first()
    if not Project.objects.filter(slug=DIGITS).exists():
        _fill_digits(address, owner, say)
    if not Project.objects.filter(slug=CONVERSATIONS).exists():
        _fill_conversations(address, owner, say)


def truth(project: Project) -> dict[str, bool]:
    """The true answers of a demo project by external id, kept outside the database.

    Raises:
        FileNotFoundError: the project is not of the demo.
    """
    found: dict[str, bool] = json.loads(_truth_file(project.slug).read_text())
    return found


def _truth_file(slug: str) -> Path:
    return Path(settings.DATA_DIR) / "demo" / f"truth-{slug}.json"


def _keep_truth(slug: str, made: Sequence[Inference]) -> None:
    path = _truth_file(slug)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({i.record["external_id"]: i.is_wrong for i in made}))


def _fill_digits(address: str, owner: User | None, say: Callable[[str], None]) -> None:
    say("training a classifier on handwritten digits")
    now = clock.now()
    baseline, stream = digits.inferences(now - timedelta(days=_DAYS), now)
    with transaction.atomic():
        project = create_project(slug=DIGITS, name="Handwritten digits (demo)", owner=owner)
        actor = system_actor(project, "demo")
        queue = _equip_digits(actor)
        client = _client(actor, address)
    _keep_truth(DIGITS, [*baseline, *stream])
    _send(client, baseline, say)
    version = fitting.fit(actor, config=_SCORER_CONFIG)
    scorers.release(actor, version=version)
    say(f"fitted and released scorer v{version.number} from {len(baseline)} inferences")
    _send(client, stream, say)
    for made in rounds.run(actor, queue=queue):
        say(f"drew {made.n_selected} of {made.n_candidates} ({made.get_stratum_display()})")
    for report in drift.run(actor):
        say(f"compared the damaged images with the baseline: {report.n_alarms} alarms")


def _equip_digits(actor: Actor) -> ReviewQueue:
    create_policy(actor, slug=DIGITS, name="Reading digits")
    policy = draft_policy(
        actor,
        slug=DIGITS,
        introduction="Look at the image first, then at the model's answer.",
        clauses=_CLAUSES,
        changelog="First version.",
    )
    publish_policy(actor, slug=DIGITS, number=policy.number)
    create_rubric(actor, slug=DIGITS, name="Reading digits")
    rubric = draft_rubric(
        actor, slug=DIGITS, policy=DIGITS, questions=_QUESTIONS, changelog="First version."
    )
    publish_rubric(actor, slug=DIGITS, number=rubric.number)
    settings = {
        "name": "Digits",
        "profile": BALANCED.name,
        "budget": 108,
        "evaluation_budget": 12,  # a tenth, as are the records held out: answers weigh alike
        "overlap": 0.4,  # tells how reviewers err
    }
    return create_queue(actor, slug=DIGITS, rubric=DIGITS, settings=settings)


def _fill_conversations(address: str, owner: User | None, say: Callable[[str], None]) -> None:
    now = clock.now()
    made = list(conversations.inferences(now - timedelta(days=2), now))
    with transaction.atomic():
        project = create_project(slug=CONVERSATIONS, name="Written examples (demo)", owner=owner)
        actor = system_actor(project, "demo")
        queue = equip_project(actor)
        client = _client(actor, address)
    _keep_truth(CONVERSATIONS, made)
    _send(client, made, say)
    for drawn in rounds.run(actor, queue=queue, budget=24):
        say(f"drew {drawn.n_selected} of {drawn.n_candidates} ({drawn.get_stratum_display()})")


def _client(actor: Actor, address: str) -> Client:
    _, key = create_key(actor, name="demo", scopes=["records:write"])
    return Client(address, key)


def _send(client: Client, made: Sequence[Inference], say: Callable[[str], None]) -> None:
    results: list[Any] = list(client.send((inference.record for inference in made), batch=250))
    accepted = sum(result["status"] == "accepted" for result in results)
    say(f"sent {len(results)} inferences to {client.base}records, {accepted} accepted")
