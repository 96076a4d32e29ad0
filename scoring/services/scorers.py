"""Scorer versions: the first one of a project, fitting, releasing; and loading them for use."""

from functools import lru_cache

from django.db import IntegrityError, connection, transaction
from django.db.models import Max
from django.db.models.functions import Now

from oversight.audit import services as audit
from oversight.lib import errors
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from oversight.tenancy.models import Project, User
from scoring.core.invariants.vocabulary import InvariantSyntaxError
from scoring.core.judgement import Judge
from scoring.core.scorers.cold_start_v1 import new_state
from scoring.core.scorers.contract import ScorerError
from scoring.core.scorers.percentile_fit import MINIMUM_RECORDS
from scoring.core.state import ScorerState, from_bytes, to_bytes
from scoring.models import Scorer, ScorerVersion

DEFAULT = "default"
# Asked by every post of records.
_CURRENT = """
SELECT current_id FROM scoring_scorer
WHERE project_id = %s AND slug = %s AND current_id IS NOT NULL
"""


def current_version_id(project: Project) -> int:
    """The key of `current_version`, without loading what was fitted."""
    with connection.cursor() as cursor:
        cursor.execute(_CURRENT, [project.pk, DEFAULT])
        found = cursor.fetchone()
    version_id: int = current_version(project).pk if found is None else found[0]
    _assumed[project.pk] = version_id
    return version_id


def assumed_version_id(project: Project) -> int:
    """What `current_version_id` said last in this process.

    For those alone who have the database check it as they store what it decided.
    """
    return _assumed.get(project.pk) or current_version_id(project)


_assumed: dict[int, int] = {}  # by the project's key


def current_version(project: Project) -> ScorerVersion:
    """The released version that scores a project's records; made at cold start if there is none."""
    found = Scorer.objects.select_related("current").defer("current__state")
    scorer = found.filter(project=project, slug=DEFAULT).first()
    if scorer is not None and scorer.current is not None:
        return scorer.current
    try:
        with transaction.atomic():
            scorer = scorer or Scorer.objects.create(project=project, slug=DEFAULT)
            version = _add_version(scorer, new_state(records_needed=MINIMUM_RECORDS), {})
            _mark_released(version, None)
            return version
    except IntegrityError:  # two first requests at once
        return current_version(project)


def load(version_id: int) -> Judge:
    """A released version, ready to decide; frozen, so remembered by its key with its invariants."""
    return _load(version_id)


@lru_cache(maxsize=32)
def _load(version_id: int) -> Judge:
    version = ScorerVersion.objects.get(pk=version_id)
    state = from_bytes(bytes(version.state))
    if state.digest() != version.digest:
        raise errors.Unavailable(f"scorer version {version_id} is damaged: its digest differs")
    return Judge(state)


def _add_version(scorer: Scorer, state: ScorerState, baseline: dict[str, object]) -> ScorerVersion:
    last = scorer.versions.aggregate(last=Max("number"))["last"] or 0
    return ScorerVersion.objects.create(
        scorer=scorer,
        number=last + 1,
        kind=state.config["kind"],
        kind_number=state.config["number"],
        config=state.config,
        state=to_bytes(state),
        digest=state.digest(),
        baseline=baseline,
    )


def propose(
    actor: Actor,
    *,
    state: ScorerState,
    baseline: dict[str, object],
    slug: str = DEFAULT,
    created_by: User | None = None,
) -> ScorerVersion:
    """Store a fitted scorer as the next version, not yet in use.

    Args:
        created_by: who asked for it, where a job carries it out; by default the actor.

    Raises:
        InvalidInput: the state is not one that can be loaded, invariants included.
    """
    access.require(actor, "scorers:write")
    try:
        Judge(state)
    except (ScorerError, InvariantSyntaxError, ExceptionGroup) as error:
        raise errors.InvalidInput(f"not a scorer: {error}", code="not_a_scorer") from error
    with transaction.atomic():
        current_version(actor.project)
        scorer = Scorer.objects.select_for_update().get(project=actor.project, slug=slug)
        version = _add_version(scorer, state, baseline)
        if (person := created_by or actor.user) is not None:
            version.created_by = person
            version.save(update_fields=["created_by"])
        audit.record(
            actor,
            "scorer.proposed",
            "scorer_version",
            version.pk,
            scorer=slug,
            number=version.number,
            kind=f"{version.kind}_v{version.kind_number}",
            digest=version.digest,
            baseline=baseline,
        )
    return version


def find_proposed_by(project: Project, job: str) -> ScorerVersion | None:
    """The version that a job has proposed, where it has run that far already."""
    return (
        ScorerVersion.objects.select_related("scorer")
        .filter(scorer__project=project, baseline__job=job)
        .first()
    )


def release(
    actor: Actor,
    *,
    version: ScorerVersion,
    rule: str = "",
    instead_of: ScorerVersion | None = None,
) -> ScorerVersion:
    """Put a version in use: from now on records are scored by it.

    Args:
        rule: name of the rule that releases it, where no person does.
        instead_of: the version that must be in use still, where a comparison with it decided.

    Raises:
        Conflict: it is in use already, or another than `instead_of` is.
    """
    access.require(actor, "scorers:write")
    with transaction.atomic():
        scorer = _lock(actor, version)
        if scorer.current_id == version.pk:
            raise errors.Conflict("this version is in use already")
        if instead_of is not None and scorer.current_id != instead_of.pk:
            raise errors.Conflict("another version was put in use meanwhile", code="overtaken")
        _put_in_use(actor, scorer, version, "scorer.released", **({"rule": rule} if rule else {}))
    version.refresh_from_db()
    return version


def roll_back(actor: Actor, *, version: ScorerVersion) -> ScorerVersion:
    """Take the version in use out of use, for the one that was first released before it.

    Naming the version makes a second click harmless: it is not the one in use any more.

    Returns:
        The version in use now.

    Raises:
        Conflict: the version is not in use, or none was released before it.
    """
    access.require(actor, "scorers:write")
    with transaction.atomic():
        scorer = _lock(actor, version)
        if scorer.current_id != version.pk:
            raise errors.Conflict("this version is not in use, so it cannot be rolled back")
        previous = find_previous(version)
        if previous is None:
            raise errors.Conflict("no version was released before this one", code="no_previous")
        _put_in_use(actor, scorer, previous, "scorer.rolled_back")
    previous.refresh_from_db()
    return previous


def find_previous(version: ScorerVersion) -> ScorerVersion | None:
    """The version that was first released last before this one."""
    if version.released_at is None:
        return None
    released = ScorerVersion.objects.filter(
        scorer=version.scorer_id, released_at__lt=version.released_at
    )
    return released.select_related("scorer").order_by("-released_at", "-number").first()


def _lock(actor: Actor, version: ScorerVersion) -> Scorer:
    """One release at a time."""
    return (
        Scorer.objects.select_for_update(of=("self",))
        .select_related("current")
        .get(pk=version.scorer_id, project=actor.project)
    )


def _put_in_use(
    actor: Actor, scorer: Scorer, version: ScorerVersion, action: str, **detail: str
) -> None:
    before = scorer.current
    _mark_released(version, actor)
    audit.record(
        actor,
        action,
        "scorer_version",
        version.pk,
        scorer=scorer.slug,
        before=before.number if before else None,
        after=version.number,
        **detail,
    )


def _mark_released(version: ScorerVersion, actor: Actor | None) -> None:
    Released = ScorerVersion.Status.RELEASED
    ScorerVersion.objects.filter(scorer=version.scorer, status=Released).update(
        status=ScorerVersion.Status.RETIRED
    )
    ScorerVersion.objects.filter(pk=version.pk, released_at=None).update(
        released_at=Now(), released_by=actor.user if actor else None
    )
    ScorerVersion.objects.filter(pk=version.pk).update(status=Released)
    Scorer.objects.filter(pk=version.scorer_id).update(current=version)
