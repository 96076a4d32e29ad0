"""Pages of learning: what it came to, what it may do, and where the score and people differ."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from oversight.lib import errors, paging
from oversight.lib.forms import add_errors
from oversight.tenancy.access import access_project
from oversight.tenancy.actors import Actor
from review.forms.learning import LearningForm, as_fields
from review.selectors import learning as selectors
from review.selectors.queues import queues
from review.services import learning, learning_settings, refit_requests


@login_required
@require_safe
def learning_home(request: HttpRequest, project: str) -> HttpResponse:
    """The runs, newest first, with the settings below."""
    actor = access_project(request.user, project, "figures:read")
    chosen = learning_settings.settings_of(actor.project)
    form = LearningForm(initial=as_fields(chosen), queues=queues(actor))
    return _home(request, actor, form)


@login_required
@require_POST
def learning_change(request: HttpRequest, project: str) -> HttpResponse:
    actor = access_project(request.user, project, "scorers:write")
    form = LearningForm(request.POST, queues=queues(actor))
    if form.is_valid():
        try:
            learning_settings.change(actor, **form.settings())
        except (errors.InvalidInput, errors.Conflict) as error:
            add_errors(form, error)
        else:
            messages.success(request, "The settings are saved.")
            return redirect("review:learning", project)
    return _home(request, actor, form, status=422)


@login_required
@require_POST
def learning_start(request: HttpRequest, project: str) -> HttpResponse:
    """Learn now, as a job: the calibration, or with `refit` the detectors too."""
    actor = access_project(request.user, project, "scorers:write")
    chosen = learning_settings.settings_of(actor.project)
    try:
        if request.POST.get("refit"):
            job = refit_requests.ask_for_refit(actor, queue=chosen.queue, question=chosen.question)
        else:
            job = learning.ask_to_learn(actor)
    except (errors.InvalidInput, errors.Conflict) as error:
        messages.warning(request, f"{error.message[0].upper()}{error.message[1:]}.")
        return redirect("review:learning", project)
    return redirect("jobs:job_detail", project, job.pk)


@login_required
@require_safe
def proxy_gap(request: HttpRequest, project: str) -> HttpResponse:
    """Where what the score says and what people say part ways, as the newest run saw it."""
    actor = access_project(request.user, project, "figures:read")
    text = request.GET.get("run", "")
    run = selectors.get_run(actor, int(text) if text.isdecimal() and len(text) < 18 else None)
    context = {
        "actor": actor,
        "run": run,
        "page": selectors.gap_page(run) if run else None,
        "may_write": "scorers:write" in actor.permissions,
    }
    return render(request, "review/proxy_gap.html", context)


def _home(
    request: HttpRequest, actor: Actor, form: LearningForm, status: int = 200
) -> HttpResponse:
    found, following = paging.page(
        selectors.runs(actor),
        request.GET.dict(),
        after=lambda rows, key: rows.filter(pk__lt=int(key[0])),
        key=lambda run: [run.pk],
    )
    context = {
        "actor": actor,
        "runs": found,
        "form": form,
        "rule": learning.RULE,
        "rule_text": learning.RULE_TEXT,
        "settings": learning_settings.settings_of(actor.project),
        "may_write": "scorers:write" in actor.permissions,
        **paging.links(request, following),
    }
    return render(request, "review/learning.html", context, status=status)
