"""Pages of datasets: the list, asking for one, its manifest and files."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from oversight.jobs.selectors import may_cancel
from oversight.lib import errors, paging
from oversight.lib.forms import add_errors
from oversight.tenancy.access import access_project
from review import rendering
from review.forms.datasets import DatasetForm
from review.selectors import datasets as selectors
from review.selectors.queues import get_queue, queues
from review.services import datasets as services


@login_required
@require_safe
def dataset_list(request: HttpRequest, project: str) -> HttpResponse:
    actor = access_project(request.user, project, "datasets:read")
    found, following = paging.page(
        selectors.datasets(actor),
        request.GET.dict(),
        after=selectors.datasets_after,
        key=selectors.key_of,
    )
    context = {
        "actor": actor,
        "datasets": [(dataset, selectors.status(dataset)) for dataset in found],
        "may_write": "datasets:write" in actor.permissions,
        "next_url": f"?cursor={following}" if following else "",
        "first_url": request.path if request.GET.get("cursor") else "",
    }
    return render(request, "review/dataset_list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def dataset_new(request: HttpRequest, project: str) -> HttpResponse:
    actor = access_project(request.user, project, "datasets:write")
    form = DatasetForm(request.POST if request.method == "POST" else None, queues=queues(actor))
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            queue = get_queue(actor, given.pop("queue"))
            dataset, _ = services.ask_for_dataset(actor, queue=queue, **given)
        except errors.InvalidInput as error:
            add_errors(form, error)
        else:
            return redirect("review:dataset_detail", project, dataset.pk)
    context = {"actor": actor, "form": form}
    status = 422 if form.is_bound else 200
    return render(request, "review/dataset_new.html", context, status=status)


@login_required
@require_safe
def dataset_detail(request: HttpRequest, project: str, dataset: UUID) -> HttpResponse:
    actor = access_project(request.user, project, "datasets:read")
    found = selectors.get_dataset(actor, dataset)
    status = selectors.status(found)
    context = {
        "actor": actor,
        "dataset": found,
        "status": status,
        "models": [
            rendering.clean_line(f"{model['name']} {model['version']}")
            for model in (found.manifest or {}).get("models", ())
        ],
        "job": None if status in ("complete", "withdrawn") else found.job,
        "may_cancel": found.job is not None and may_cancel(actor, found.job),
    }
    return render(request, "review/dataset_detail.html", context)


@login_required
@require_safe
def dataset_file(request: HttpRequest, project: str, dataset: UUID, name: str) -> FileResponse:
    actor = access_project(request.user, project, "datasets:read")
    return selectors.get_file(actor, dataset, name).as_response()
