"""Pages of records: the list, one record with its score explained, asking a person to look."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from oversight.lib import errors, paging
from oversight.lib.forms import add_errors
from oversight.tenancy.access import access_project
from oversight.tenancy.actors import Actor
from review.forms.records import EscalationForm, RecordFilterForm
from review.selectors import queues
from review.selectors import records as selectors
from review.selectors.blindness import in_hand
from review.services import cases, disclosure
from review.views.evidence import image_answer
from scoring.selectors import records


@login_required
@require_safe
def record_list(request: HttpRequest, project: str) -> HttpResponse:
    """Records, newest first, narrowed by the filters of the address."""
    actor = access_project(request.user, project, "records:read")
    form = RecordFilterForm(request.GET)
    context = {"actor": actor, "form": form, "suggestions": selectors.suggestions(actor)}
    if not form.is_valid():
        return render(request, "review/record_list.html", context, status=400)
    # What is no field of the form goes along, so that an unknown filter is refused.
    rest = {name: text for name, text in request.GET.dict().items() if name not in form.fields}
    held = in_hand(actor)
    found, following = paging.page(
        records.records(actor, rest | form.params(), withheld=held),
        rest,
        after=records.records_after,
        key=lambda row: [str(row.pk)],
        walk=records.walk(actor, form.params()),
    )
    disclosure.see_records(actor, {row.pk for row in found} - held)
    context |= {
        "rows": selectors.listed(found, held),
        "narrowed": bool(form.params()),
        **paging.links(request, following),
    }
    return render(request, "review/record_list.html", context)


@login_required
@require_safe
def record_detail(request: HttpRequest, project: str, record: UUID) -> HttpResponse:
    """One record: what was said, what the machine made of it, where people judge it."""
    actor = access_project(request.user, project, "records:read")
    return _detail(request, actor, record, EscalationForm(queues=queues.queues(actor)))


@login_required
@require_POST
def record_review(request: HttpRequest, project: str, record: UUID) -> HttpResponse:
    """Ask a person to look at the record."""
    actor = access_project(request.user, project, "escalate")
    form = EscalationForm(request.POST, queues=queues.queues(actor))
    if not form.is_valid():
        return _detail(request, actor, record, form, status=422)
    queue = queues.get_queue(actor, form.cleaned_data["queue"])
    try:
        cases.escalate_record(
            actor, queue=queue, record_id=record, reason=form.cleaned_data["reason"]
        )
    except (errors.InvalidInput, errors.Conflict) as error:
        add_errors(form, error)
        return _detail(request, actor, record, form, status=error.status)
    messages.success(request, f"The next reviewer of {queue.name} is given this record first.")
    return redirect("review:record_detail", project, record)


@login_required
@require_safe
def record_image(request: HttpRequest, project: str, record: UUID, index: int) -> HttpResponse:
    """One image of a record, under the same guard as those of cases."""
    actor = access_project(request.user, project, "records:read")
    return image_answer(selectors.get_piece(actor, record, index))


def _detail(
    request: HttpRequest, actor: Actor, record: UUID, form: EscalationForm, status: int = 200
) -> HttpResponse:
    shown = selectors.shown(actor, record)
    if shown.evidence:
        disclosure.see_records(actor, [record])
    may_ask = "escalate" in actor.permissions and shown.conversation is not None
    context = {"actor": actor, "shown": shown, "form": form, "may_ask": may_ask}
    return render(request, "review/record_detail.html", context, status=status)
