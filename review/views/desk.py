"""The reviewer's desk: claim, answer, skip, give back. Every act is a plain form; htmx gets the
next case as a fragment of the same page, and 4xx as an alert beside what was typed.
"""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from oversight.lib import clock, errors
from oversight.lib.htmx import is_htmx, render_page_or_fragment, signed_in
from oversight.tenancy.access import access_project
from oversight.tenancy.actors import Actor
from review import verdict_form
from review.models import ReviewQueue, Slot
from review.selectors import desk, judged
from review.services import claims, verdicts


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def review(request: HttpRequest, project: str, queue: str) -> HttpResponse:
    """The case in hand, or the way to one; POST claims."""
    actor = access_project(request.user, project, "review")
    found = desk.get_queue(actor, queue)
    if request.method == "POST":
        if claims.find_live_claim(actor, queue=found) is None:
            claims.claim_next(actor, queue=found)
        return redirect("review:desk", project, queue)
    return _desk(request, actor, found, claims.find_live_claim(actor, queue=found))


@signed_in
@require_POST
def submit(request: HttpRequest, project: str, case: UUID) -> HttpResponse:
    """Store the verdict, then the next case."""
    actor = access_project(request.user, project, "review")
    token = _token(request)
    slot: Slot | None = None
    try:
        slot = desk.get_own_slot(actor, case)
        questions = desk.questions_of(desk.version_of(slot))
        entered = verdict_form.entered_in(questions, request.POST)
        verdicts.submit(
            actor,
            case_id=case,
            claim_token=token,
            answers=verdict_form.read_answers(
                questions, entered, desk.parts_of(slot.case.evidence)
            ),
            note=_note(request),
            seconds=verdict_form.read_seconds(request.POST.get("seconds", "")),
        )
    except (errors.InvalidInput, errors.Conflict) as error:
        return _refused(request, actor, slot, token, error)
    return _next(request, actor, slot.queue)


@signed_in
@require_POST
def skip(request: HttpRequest, project: str, case: UUID) -> HttpResponse:
    """Give the case back with a reason, then the next one."""
    actor = access_project(request.user, project, "review")
    queue = desk.get_own_slot(actor, case).queue
    reason = ": ".join(filter(None, (request.POST.get(n, "").strip() for n in ("why", "detail"))))
    try:
        claims.skip(actor, case_id=case, token=_token(request), reason=reason)
    except (errors.InvalidInput, errors.Conflict) as error:
        if is_htmx(request):
            return _alert(request, error)
        messages.warning(request, error.message)
        return redirect("review:desk", project, queue.slug)
    return _next(request, actor, queue)


@signed_in
@require_POST
def release(request: HttpRequest, project: str, case: UUID) -> HttpResponse:
    """Give the case back unanswered and stop. One that went on already is no longer held."""
    actor = access_project(request.user, project, "review")
    try:
        claims.release(actor, case_id=case, token=_token(request))
    except errors.Conflict as error:
        messages.warning(request, error.message)
    return redirect("review:queue_list", project)


@signed_in
@require_POST
def heartbeat(request: HttpRequest, project: str, case: UUID) -> JsonResponse:
    """Extend the lease; says how many seconds are left."""
    actor = access_project(request.user, project, "review")
    expires_at = claims.heartbeat(actor, case_id=case, token=_token(request))
    return JsonResponse({"seconds_left": int((expires_at - clock.now()).total_seconds())})


def _next(request: HttpRequest, actor: Actor, queue: ReviewQueue) -> HttpResponse:
    claim = claims.find_live_claim(actor, queue=queue) or claims.claim_next(actor, queue=queue)
    if not is_htmx(request):
        return redirect("review:desk", actor.project.slug, queue.slug)
    return _desk(request, actor, queue, claim)


def _desk(
    request: HttpRequest,
    actor: Actor,
    queue: ReviewQueue,
    claim: claims.Claim | None,
    status: int = 200,
    **changes: object,
) -> HttpResponse:
    case = desk.shown_case(claim) if claim else None
    context = {
        "actor": actor,
        "queue": queue,
        "case": case,
        "form": case.form if case else None,
        "evidence": judged.evidence_if_open(queue, claim.case.evidence) if claim else None,
        "card": desk.queue_card(actor, queue),
        "receipts": desk.receipts(actor, queue),
        "skip_reasons": SKIP_REASONS,
        **changes,
    }
    return render_page_or_fragment(
        request, "review/desk.html", "review/_case.html", context, status=status
    )


SKIP_REASONS = (
    "I do not know the language",
    "I cannot judge this",
    "Too distressing",
    "I know the people involved",
    "It does not display properly",
    "Other",
)


def _refused(
    request: HttpRequest,
    actor: Actor,
    slot: Slot | None,
    token: UUID,
    error: errors.ApplicationError,
) -> HttpResponse:
    """The answer to a refused verdict: what was typed stays, in the page or in the answer."""
    if is_htmx(request):
        return _alert(request, error)
    claim = claims.find_live_claim(actor, queue=slot.queue) if slot else None
    if slot is None or claim is None or claim.token != token:
        typed = [(k, v) for k, v in request.POST.items() if k not in _NOT_TYPED and v]
        context = {"actor": actor, "error": error, "typed": typed}
        return render(request, "review/conflict.html", context, status=error.status)
    wrong = verdict_form.wrong_fields(error) if isinstance(error, errors.InvalidInput) else {}
    questions = desk.questions_of(desk.version_of(slot))
    entered = verdict_form.entered_in(questions, request.POST)
    form = desk.shown_form(desk.version_of(slot), entered, wrong, _note(request))
    return _desk(request, actor, slot.queue, claim, error.status, form=form, error=error)


_NOT_TYPED = {"csrfmiddlewaretoken", "claim_token", "seconds"}


def _alert(request: HttpRequest, error: errors.ApplicationError) -> HttpResponse:
    wrong = verdict_form.wrong_fields(error) if isinstance(error, errors.InvalidInput) else {}
    # InvalidInput is 400 to the API; a page's form that is understood but refused says 422.
    status = 422 if isinstance(error, errors.InvalidInput) else error.status
    context = {"error": error, "wrong": wrong}
    return render(request, "review/_alert.html", context, status=status)


def _token(request: HttpRequest) -> UUID:
    try:
        return UUID(request.POST.get("claim_token", ""))
    except ValueError:
        raise errors.InvalidInput.at("claim_token", "the claim's token is missing") from None


def _note(request: HttpRequest) -> str:
    return request.POST.get("note", "").replace("\r\n", "\n").strip()
