"""The invariants of a scorer version: read, put in, carried over from one version to the next.

They are part of a version's frozen state, so a stored decision names the checks that made it.
"""

from collections.abc import Mapping
from typing import Any

from django.db.models import F

from oversight.lib import errors
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from oversight.tenancy.models import Project
from scoring.core.invariants.engine import InvariantSet
from scoring.core.invariants.packs import load_starter
from scoring.core.invariants.parse import dump_document, parse_document
from scoring.core.invariants.vocabulary import LANGUAGE, InvariantSyntaxError
from scoring.core.judgement import INVARIANTS, with_invariants
from scoring.core.state import ScorerState, from_bytes
from scoring.models import ScorerVersion
from scoring.services import scorers

Document = Mapping[str, Any]
KEEP, STARTER, NONE = "keep", "starter", "none"
CHOICES = (KEEP, STARTER, NONE)


def chosen(choice: str) -> Document | None:
    """The document that a choice names; None to keep those of the version in use.

    Raises:
        InvalidInput: it is none of `CHOICES`.
    """
    if choice not in CHOICES:
        raise errors.InvalidInput.at("invariants", f"one of {', '.join(CHOICES)}", "unknown")
    if choice == STARTER:
        return starter()
    return {"language": LANGUAGE, INVARIANTS: []} if choice == NONE else None


def starter() -> dict[str, object]:
    """The starter pack as a document."""
    return dump_document(load_starter())


def read(document: object) -> dict[str, object]:
    """A document as it is frozen, all defaults spelt out.

    Raises:
        InvalidInput: with the path of the first error of each invariant.
    """
    try:
        invariants = parse_document(document)
        InvariantSet.compile(invariants)  # patterns and schemas are judged by compiling them
    except InvariantSyntaxError as error:
        raise _refused([error]) from error
    except ExceptionGroup as group:
        raise _refused([e for e in group.exceptions if isinstance(e, InvariantSyntaxError)]) from (
            group
        )
    return dump_document(invariants)


def in_use(project: Project, slug: str = scorers.DEFAULT) -> Document | None:
    """The document of the version in use; None where it has none, or none is in use."""
    version = _current(project, slug)
    return None if version is None else version.config.get(INVARIANTS)


def guarded(state: ScorerState, document: Document | None) -> ScorerState:
    """A state with the document, if it holds any invariant."""
    return with_invariants(state, document if document and document[INVARIANTS] else None)


def guard(actor: Actor, *, invariants: Document, slug: str = scorers.DEFAULT) -> ScorerVersion:
    """Propose the version in use with other invariants: what was fitted stays as it is.

    Works at cold start too, since a check needs no baseline.

    Args:
        invariants: a document of the invariant language; one without invariants removes them.

    Raises:
        InvalidInput: the document is malformed.
        Conflict: no version of the scorer is in use, or it has these invariants already.
    """
    access.require(actor, "scorers:write")
    document = read(invariants)
    if slug == scorers.DEFAULT:
        scorers.current_version(actor.project)
    current = _current(actor.project, slug)
    if current is None:
        raise errors.Conflict("no version of this scorer is in use")
    before = from_bytes(bytes(current.state))
    state = guarded(before, document)
    if state.digest() == before.digest():
        raise errors.Conflict("the version in use has these invariants already")
    return scorers.propose(actor, state=state, baseline=current.baseline, slug=slug)


def _current(project: Project, slug: str) -> ScorerVersion | None:
    return ScorerVersion.objects.filter(
        scorer__project=project, scorer__slug=slug, pk=F("scorer__current")
    ).first()


def _refused(found: list[InvariantSyntaxError]) -> errors.InvalidInput:
    return errors.InvalidInput(
        "the invariants cannot be read",
        errors=[
            errors.FieldError(
                "invariants" + error.path.rstrip("/").replace("/", "."), "invalid", error.message
            )
            for error in found
        ],
    )
