"""What a reviewer sees after judging, and the images of a case."""

import base64
import binascii
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from oversight.lib import errors
from oversight.lib.htmx import signed_in
from oversight.tenancy.access import access_project
from review import verdict_form
from review.selectors import desk
from review.selectors import judged as selectors
from review.services import disclosure, verdicts
from scoring.intake.images import MAX_IMAGE_BYTES, recognise


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def verdict(request: HttpRequest, project: str, verdict: UUID) -> HttpResponse:
    """One's own verdict: the case again, the answers, the evidence once shown; POST corrects."""
    actor = access_project(request.user, project, "review")
    own = verdicts.get_own(actor, verdict_id=verdict)
    latest = selectors.latest_verdict(own)
    if request.method != "POST":
        if latest != own:
            return redirect("review:verdict", project, latest.pk)
        shown = selectors.judged(actor, own)
        return render(request, "review/verdict.html", {"actor": actor, "judged": shown})
    questions = desk.questions_of(own.rubric_version)
    entered = verdict_form.entered_in(questions, request.POST)
    note = request.POST.get("note", "").replace("\r\n", "\n").strip()
    try:
        parts = desk.parts_of(own.case.evidence)
        answers = verdict_form.read_answers(questions, entered, parts)
        verdicts.supersede(actor, verdict_id=verdict, answers=answers, note=note)
    except (errors.InvalidInput, errors.Conflict) as error:
        wrong = verdict_form.wrong_fields(error) if isinstance(error, errors.InvalidInput) else {}
        shown = selectors.judged(actor, own, entered, wrong, note)
        context = {"actor": actor, "judged": shown, "error": error}
        return render(request, "review/verdict.html", context, status=error.status)
    return redirect("review:desk", project, own.case.queue.slug)


@signed_in
@require_POST
def reveal(request: HttpRequest, project: str, verdict: UUID) -> HttpResponse:
    """Show score, tier and reasons of a case just judged; kept for ever as seen."""
    actor = access_project(request.user, project, "review")
    disclosure.see_evidence(actor, verdict_id=verdict)
    return redirect("review:verdict", project, verdict)


@signed_in
@require_safe
def image(request: HttpRequest, project: str, case: UUID, index: int) -> HttpResponse:
    """One image of a case. Its bytes say what it is; the answer can run and load nothing."""
    actor = access_project(request.user, project)
    return image_answer(desk.get_piece(actor, case, index))


def image_answer(piece: dict[str, object]) -> HttpResponse:
    """A stored piece as an image.

    Raises:
        NotFound: the piece is none that is recognised.
    """
    data = _decoded(piece)
    media_type = recognise(data)
    if media_type is None:
        raise errors.NotFound("there is no image here")
    return HttpResponse(
        data,
        content_type=media_type,
        headers={
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "X-Content-Type-Options": "nosniff",
            "Content-Disposition": "inline",
        },
    )


def _decoded(piece: dict[str, object]) -> bytes:
    stored = piece.get("data")
    if piece.get("type") != "image" or not isinstance(stored, str):
        return b""
    if len(stored) > MAX_IMAGE_BYTES * 4 // 3 + 4:
        return b""
    try:
        return base64.b64decode(stored, validate=True)
    except (binascii.Error, ValueError):
        return b""
