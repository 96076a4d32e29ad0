"""Pages of policies: reading, editing drafts, comparing, publishing."""

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
from review.forms.policies import ClauseFormSet, NewNamedForm, PolicyForm, PublishForm
from review.models import PolicyVersion
from review.selectors import policies as selectors
from review.services import policies as services
from review.views.versions import earlier_version, number_of


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def policy_list(request: HttpRequest, project: str) -> HttpResponse:
    """The policies, and a form for a new one."""
    actor = access_project(request.user, project, "policies:read")
    form = NewNamedForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            policy = services.create_policy(actor, **form.cleaned_data)
            version = services.draft_policy(actor, slug=policy.slug, clauses=[])
        except (errors.InvalidInput, errors.Conflict) as error:
            add_errors(form, error)
        else:
            return redirect("review:policy_edit", project, policy.slug, version.number)
    context = {"actor": actor, "policies": selectors.policies(actor), "form": form}
    context["may_write"] = "policies:write" in actor.permissions
    status = 422 if form.is_bound else 200
    return render(request, "review/policy_list.html", context, status=status)


@login_required
@require_safe
def policy_detail(request: HttpRequest, project: str, slug: str) -> HttpResponse:
    """One version of a policy, the published one unless `?version=` names another."""
    actor = access_project(request.user, project, "policies:read")
    policy = selectors.get_policy(actor, slug)
    number = number_of(request, "version", selectors.default_number(policy))
    context = {
        "actor": actor,
        "policy": policy,
        "version": selectors.get_version(actor, slug, number) if number else None,
        "versions": selectors.versions(policy)[:100],
        "may_write": "policies:write" in actor.permissions,
    }
    return render(request, "review/policy_detail.html", context)


@login_required
@require_POST
def policy_draft(request: HttpRequest, project: str, slug: str) -> HttpResponse:
    """A new draft that begins as the newest version is."""
    actor = access_project(request.user, project, "policies:write")
    policy = selectors.get_policy(actor, slug)
    latest = selectors.versions(policy).first()
    version = services.draft_policy(
        actor,
        slug=slug,
        introduction=latest.introduction if latest else "",
        clauses=selectors.clauses_as_plain(latest) if latest else [],
    )
    return redirect("review:policy_edit", project, slug, version.number)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def policy_edit(request: HttpRequest, project: str, slug: str, number: int) -> HttpResponse:
    """The editor of a draft; its buttons rearrange clauses, "save" stores."""
    actor = access_project(request.user, project, "policies:write")
    version = selectors.get_version(actor, slug, number)
    if version.is_published:
        return redirect("review:policy_detail", project, slug)
    if request.method != "POST":
        form, clauses = _unbound(version)
        return _editor(request, actor, version, form, clauses)
    form, clauses = PolicyForm(request.POST), ClauseFormSet(request.POST, prefix="clauses")
    moved = rearranged(typed(clauses), request.POST.get("do", ""))
    if moved is not None:
        clauses = ClauseFormSet(initial=moved, prefix="clauses")
        return _editor(request, actor, version, PolicyForm(initial=_raw(form)), clauses)
    if form.is_valid() and clauses.is_valid() and _save(actor, version, form, clauses):
        if request.POST.get("do") == "publish":
            return redirect("review:policy_publish", project, slug, number)
        messages.success(request, f"Version {number} is saved.")
        return redirect("review:policy_edit", project, slug, number)
    return _editor(request, actor, version, form, clauses, status=422)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def policy_publish(request: HttpRequest, project: str, slug: str, number: int) -> HttpResponse:
    """Shows what changes, then publishes exactly what was shown."""
    actor = access_project(request.user, project, "policies:write")
    version = selectors.get_version(actor, slug, number)
    if request.method == "POST":
        form = PublishForm(request.POST)
        seen = form.cleaned_data["seen_digest"] if form.is_valid() else ""
        services.publish_policy(actor, slug=slug, number=number, seen_digest=seen)
        messages.success(request, f"Version {number} of {version.policy.name} is published.")
        return redirect("review:policy_detail", project, slug)
    published = selectors.find_published(version.policy)
    context = _compared(actor, published, version)
    context["form"] = PublishForm(initial={"seen_digest": version.digest})
    return render(request, "review/policy_publish.html", context)


@login_required
@require_safe
def policy_diff(request: HttpRequest, project: str, slug: str, number: int) -> HttpResponse:
    actor = access_project(request.user, project, "policies:read")
    after = selectors.get_version(actor, slug, number)
    before = selectors.get_version(actor, slug, earlier_version(request, number))
    return render(request, "review/policy_diff.html", _compared(actor, before, after))


def _compared(actor: Actor, before: PolicyVersion | None, after: PolicyVersion) -> dict[str, Any]:
    introduction, clauses = selectors.changes(before, after) if before else ([], [])
    return {
        "actor": actor,
        "before": before,
        "version": after,
        "introduction": introduction,
        "changes": clauses,
    }


def _unbound(version: PolicyVersion) -> tuple[PolicyForm, Any]:
    form = PolicyForm(
        initial={
            "introduction": version.introduction,
            "changelog": version.changelog,
            "seen_digest": version.digest,
        }
    )
    initial = selectors.clauses_as_plain(version) or [{}]
    return form, ClauseFormSet(initial=initial, prefix="clauses")


def _raw(form: PolicyForm) -> dict[str, Any]:
    return {name: form[name].value() for name in form.fields}


def _save(actor: Actor, version: PolicyVersion, form: PolicyForm, clauses: Any) -> bool:
    try:
        services.save_policy_draft(
            actor,
            slug=version.policy.slug,
            number=version.number,
            clauses=[clause.plain() for clause in clauses.forms],
            **form.cleaned_data,
        )
    except (errors.InvalidInput, errors.Conflict) as error:
        add_item_errors(form, clauses, error)
        return False
    return True


def _editor(
    request: HttpRequest,
    actor: Actor,
    version: PolicyVersion,
    form: PolicyForm,
    clauses: Any,
    status: int = 200,
) -> HttpResponse:
    context = {"actor": actor, "version": version, "form": form, "clauses": clauses}
    return render(request, "review/policy_edit.html", context, status=status)
