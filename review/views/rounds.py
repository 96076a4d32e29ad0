"""Pages of sampling rounds: what was drawn, from what, with which probability."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from oversight.lib import errors, paging
from oversight.lib.forms import add_errors
from oversight.tenancy.access import access_project
from oversight.tenancy.actors import Actor
from review.forms.rounds import DrawForm
from review.selectors import queues
from review.selectors import rounds as selectors
from review.services import disclosure
from review.services import extra_rounds as services


@login_required
@require_safe
def round_list(request: HttpRequest, project: str) -> HttpResponse:
    """The project's rounds, newest first, and a form that asks for a draw."""
    actor = access_project(request.user, project, "figures:read")
    return _list(request, actor, DrawForm(queues=queues.queues(actor)))


@login_required
@require_POST
def round_draw(request: HttpRequest, project: str) -> HttpResponse:
    """Close the window and draw, as a job."""
    actor = access_project(request.user, project, "rounds:run")
    form = DrawForm(request.POST, queues=queues.queues(actor))
    if form.is_valid():
        queue = queues.get_queue(actor, form.cleaned_data["queue"])
        try:
            job = services.ask_for_rounds(
                actor,
                queue=queue,
                budget=form.cleaned_data["budget"],
                windows=form.cleaned_data["windows"] or None,
            )
        except errors.InvalidInput as error:
            add_errors(form, error)
        else:
            return redirect("jobs:job_detail", project, job.pk)
    return _list(request, actor, form, status=422)


@login_required
@require_safe
def round_detail(request: HttpRequest, project: str, round_id: int) -> HttpResponse:
    """One round, complete enough to be drawn again, with its selections in serving order."""
    actor = access_project(request.user, project, "figures:read")
    made = selectors.get_round(actor, round_id)
    found, following = paging.page(
        selectors.selections(made),
        request.GET.dict(),
        after=lambda rows, key: rows.filter(position__gt=int(key[0])),
        key=lambda selection: [selection.position],
    )
    rows = selectors.told(actor, found)
    disclosure.see_records(actor, selectors.records_of(rows))
    done = selectors.finished(made)
    context = {
        "actor": actor,
        "round": made,
        "seed": bytes(made.seed).hex(),
        "strata": selectors.strata_of(made),
        "done": done,
        "completed_prefix": done.prefix,
        "selections": rows,
        **paging.links(request, following),
    }
    return render(request, "review/round_detail.html", context)


def _list(request: HttpRequest, actor: Actor, form: DrawForm, status: int = 200) -> HttpResponse:
    found, following = paging.page(
        selectors.rounds(actor),
        request.GET.dict(),
        after=lambda rows, key: rows.filter(pk__lt=int(key[0])),
        key=lambda made: [made.pk],
    )
    context = {
        "actor": actor,
        "rounds": found,
        "queues": queues.queues(actor),
        "form": form,
        "may_draw": "rounds:run" in actor.permissions,
        **paging.links(request, following),
    }
    return render(request, "review/round_list.html", context, status=status)
