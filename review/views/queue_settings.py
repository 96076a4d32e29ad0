"""Pages of queues for those who lead: which records, which rubric, how many."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from oversight.lib import errors
from oversight.lib.forms import add_errors
from oversight.lib.htmx import signed_in
from oversight.tenancy.access import access_project
from review.forms.queues import NewQueueForm, QueueForm, as_fields
from review.models import ReviewQueue
from review.selectors import queues as selectors
from review.selectors.rubrics import rubrics
from review.services import capacity
from review.services import queues as services


@login_required
@require_safe
def queue_settings(request: HttpRequest, project: str) -> HttpResponse:
    actor = access_project(request.user, project, "queues:write")
    context = {"actor": actor, "queues": selectors.queues(actor)}
    return render(request, "review/queue_settings.html", context)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def queue_new(request: HttpRequest, project: str) -> HttpResponse:
    actor = access_project(request.user, project, "queues:write")
    form = NewQueueForm(
        request.POST if request.method == "POST" else None,
        initial=as_fields(ReviewQueue()),
        rubrics=rubrics(actor),
    )
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            services.create_queue(
                actor, slug=given["slug"], rubric=given["rubric"], settings=form.settings()
            )
        except (errors.InvalidInput, errors.Conflict) as error:
            add_errors(form, error)
        else:
            messages.success(request, "The queue is made. Its next round fills it.")
            return redirect("review:queue_settings", project)
    context = {"actor": actor, "form": form, "queue": None}
    return render(request, "review/queue_edit.html", context, status=422 if form.is_bound else 200)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def queue_edit(request: HttpRequest, project: str, slug: str) -> HttpResponse:
    actor = access_project(request.user, project, "queues:write")
    queue = selectors.get_queue(actor, slug)
    form = QueueForm(
        request.POST if request.method == "POST" else None,
        initial=as_fields(queue),
        rubrics=rubrics(actor),
    )
    if request.method == "POST" and form.is_valid():
        try:
            services.update_queue(
                actor, slug=slug, rubric=form.cleaned_data["rubric"], settings=form.settings()
            )
        except errors.InvalidInput as error:
            add_errors(form, error)
        else:
            messages.success(request, "The settings are saved; they hold from the next round on.")
            return redirect("review:queue_settings", project)
    context = {"actor": actor, "form": form, "queue": queue, "plan": capacity.plan(queue)}
    return render(request, "review/queue_edit.html", context, status=422 if form.is_bound else 200)
