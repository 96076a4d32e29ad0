"""Pages of rubrics: reading, editing drafts with a preview, publishing."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from oversight.lib import errors
from oversight.lib.forms import add_errors
from oversight.lib.htmx import signed_in
from oversight.tenancy.access import access_project
from oversight.tenancy.actors import Actor
from review.forms.items import add_item_errors, rearranged, typed
from review.forms.policies import NewNamedForm, PublishForm
from review.forms.rubrics import ALIASES, QuestionFormSet, RubricForm, as_fields
from review.models import RubricVersion
from review.selectors import rubrics as selectors
from review.selectors.policies import default_number
from review.services import rubrics as services
from review.views.versions import number_of


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def rubric_list(request: HttpRequest, project: str) -> HttpResponse:
    """The rubrics, and a form for a new one."""
    actor = access_project(request.user, project, "policies:read")
    form = NewNamedForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            rubric = services.create_rubric(actor, **form.cleaned_data)
        except (errors.InvalidInput, errors.Conflict) as error:
            add_errors(form, error)
        else:
            return redirect("review:rubric_detail", project, rubric.slug)
    context = {"actor": actor, "rubrics": selectors.rubrics(actor), "form": form}
    context["may_write"] = "policies:write" in actor.permissions
    status = 422 if form.is_bound else 200
    return render(request, "review/rubric_list.html", context, status=status)


@login_required
@require_safe
def rubric_detail(request: HttpRequest, project: str, slug: str) -> HttpResponse:
    """One version of a rubric, the published one unless `?version=` names another."""
    actor = access_project(request.user, project, "policies:read")
    rubric = selectors.get_rubric(actor, slug)
    number = number_of(request, "version", default_number(rubric))
    version = selectors.get_version(actor, slug, number) if number else None
    context = {
        "actor": actor,
        "rubric": rubric,
        "version": version,
        "is_behind": version is not None and version.policy_version.status == "superseded",
        "versions": selectors.versions(rubric)[:100],
        "may_write": "policies:write" in actor.permissions,
        "grounds": selectors.policy_versions(actor),
    }
    return render(request, "review/rubric_detail.html", context)


@login_required
@require_POST
def rubric_draft(request: HttpRequest, project: str, slug: str) -> HttpResponse:
    """A new draft that begins as the newest version is, resting on the published policy."""
    actor = access_project(request.user, project, "policies:write")
    latest = selectors.versions(selectors.get_rubric(actor, slug)).first()
    version = services.draft_rubric(
        actor,
        slug=slug,
        policy=latest.policy_version.policy.slug if latest else request.POST.get("policy"),
        questions=_without_lost_clauses(actor, latest) if latest else [],
    )
    return redirect("review:rubric_edit", project, slug, version.number)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def rubric_edit(request: HttpRequest, project: str, slug: str, number: int) -> HttpResponse:
    """The editor of a draft; its buttons rearrange questions, "save" stores."""
    actor = access_project(request.user, project, "policies:write")
    version = selectors.get_version(actor, slug, number)
    if version.is_published:
        return redirect("review:rubric_detail", project, slug)
    if request.method != "POST":
        initial = [as_fields(question) for question in services.as_plain(version)] or [{}]
        return _editor(request, actor, version, _form(actor, version), _questions(version, initial))
    form = _form(actor, version, request.POST)
    questions = _questions(version, data=request.POST)
    moved = rearranged(typed(questions), request.POST.get("do", ""))
    if moved is not None:
        raw = {name: form[name].value() for name in form.fields}
        form = _form(actor, version, initial=raw)
        return _editor(request, actor, version, form, _questions(version, moved))
    if form.is_valid() and questions.is_valid() and _save(actor, version, form, questions):
        if request.POST.get("do") == "publish":
            return redirect("review:rubric_publish", project, slug, number)
        messages.success(request, f"Version {number} is saved.")
        return redirect("review:rubric_edit", project, slug, number)
    return _editor(request, actor, version, form, questions, status=422)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def rubric_publish(request: HttpRequest, project: str, slug: str, number: int) -> HttpResponse:
    """Shows what changes and how it will look, then publishes exactly what was shown."""
    actor = access_project(request.user, project, "policies:write")
    version = selectors.get_version(actor, slug, number)
    form = PublishForm(request.POST if request.method == "POST" else None)
    problems: tuple[errors.FieldError, ...] = ()
    if request.method == "POST":
        seen = form.cleaned_data["seen_digest"] if form.is_valid() else ""
        try:
            services.publish_rubric(actor, slug=slug, number=number, seen_digest=seen)
        except errors.InvalidInput as error:
            problems = error.errors
        else:
            messages.success(request, f"Version {number} of {version.rubric.name} is published.")
            return redirect("review:rubric_detail", project, slug)
    before = selectors.find_published(version.rubric)
    context = {
        "actor": actor,
        "version": version,
        "before": before,
        "changes": selectors.changes(before, version) if before else [],
        "problems": problems,
        "form": PublishForm(initial={"seen_digest": version.digest}),
    }
    return render(request, "review/rubric_publish.html", context, status=422 if problems else 200)


def _form(
    actor: Actor, version: RubricVersion, data: Any = None, initial: dict[str, Any] | None = None
) -> RubricForm:
    initial = initial or {
        "policy": version.policy_version.policy.slug,
        "changelog": version.changelog,
        "seen_digest": version.digest,
    }
    return RubricForm(data, initial=initial, policies=selectors.policy_versions(actor))


def _questions(
    version: RubricVersion, initial: list[dict[str, Any]] | None = None, data: Any = None
) -> Any:
    clauses = [(clause.key, clause.title) for clause in version.policy_version.clauses.all()]
    return QuestionFormSet(
        data, initial=initial, prefix="questions", form_kwargs={"clauses": clauses}
    )


def _save(actor: Actor, version: RubricVersion, form: RubricForm, questions: Any) -> bool:
    given = dict(form.cleaned_data)
    try:
        services.save_rubric_draft(
            actor,
            slug=version.rubric.slug,
            number=version.number,
            questions=[question.plain() for question in questions.forms],
            **given,
        )
    except (errors.InvalidInput, errors.Conflict) as error:
        add_item_errors(form, questions, error, ALIASES)
        return False
    return True


def _without_lost_clauses(actor: Actor, version: RubricVersion) -> list[dict[str, Any]]:
    """The questions, without clauses that the policy's published version does not have."""
    slug = version.policy_version.policy.slug
    kept = {
        clause.key
        for ground in selectors.policy_versions(actor)
        if ground.policy.slug == slug
        for clause in ground.clauses.all()
    }
    return [
        {**question, "clauses": [key for key in question["clauses"] if key in kept]}
        for question in services.as_plain(version)
    ]


def _editor(
    request: HttpRequest,
    actor: Actor,
    version: RubricVersion,
    form: RubricForm,
    questions: Any,
    status: int = 200,
) -> HttpResponse:
    context = {"actor": actor, "version": version, "form": form, "questions": questions}
    return render(request, "review/rubric_edit.html", context, status=status)
