"""Forms of people, links and keys. They read; services decide."""

from datetime import UTC, datetime, time
from typing import Any

from django import forms

from oversight.tenancy.actors import Actor
from oversight.tenancy.models import Role, Scope

_SCOPE_TEXTS = {
    Scope.RECORDS_WRITE: "send records",
    Scope.RECORDS_READ: "read records and figures",
    Scope.REVIEW: "claim cases and give verdicts",
    Scope.POLICIES_WRITE: "write policies, rubrics and queues",
    Scope.DATASETS_READ: "read datasets",
    Scope.DATASETS_WRITE: "make datasets",
    Scope.ADMIN: "everything but giving verdicts",
}


class InviteForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices, initial=Role.REVIEWER)


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices)
    seen_role = forms.ChoiceField(choices=Role.choices, widget=forms.HiddenInput)


class JoinForm(forms.Form):
    """A new account by invitation."""

    email = forms.EmailField(
        label="E-mail address",
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "username"}),
    )
    name = forms.CharField(
        label="Your name",
        required=False,
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    password = forms.CharField(
        strip=False,
        max_length=200,
        help_text="At least 10 characters, and not a common password.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


class NewPasswordForm(forms.Form):
    password = forms.CharField(
        label="New password",
        strip=False,
        max_length=200,
        help_text="At least 10 characters, and not a common password.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


class KeyForm(forms.Form):
    name = forms.CharField(max_length=80, help_text="Where the key will be used.")
    scopes = forms.MultipleChoiceField(
        label="What it may do",
        choices=[(scope.value, f"{scope.value}: {_SCOPE_TEXTS[scope]}") for scope in Scope],
        widget=forms.CheckboxSelectMultiple,
    )
    rater = forms.ChoiceField(
        label="Whose verdicts it gives",
        choices=[("", "none"), ("me", "mine"), ("ai", "those of an AI rater")],
        required=False,
        help_text="For the scope review. AI raters are never counted as people.",
    )
    ai_rater = forms.CharField(label="Name of the AI rater", required=False, max_length=80)
    expires_on = forms.DateField(
        label="Expires after",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="The key works to the end of this day, UTC.",
    )

    def arguments(self, actor: Actor) -> dict[str, Any]:
        """What `create_key` takes."""
        given = self.cleaned_data
        last_day = given["expires_on"]
        return {
            "name": given["name"],
            "scopes": given["scopes"],
            "expires_at": datetime.combine(last_day, time.max, UTC) if last_day else None,
            "acts_as": actor.user if given["rater"] == "me" else None,
            "ai_rater": given["ai_rater"] if given["rater"] == "ai" else "",
        }


class RevokeForm(forms.Form):
    """Typed confirmation: the prefix of the very key."""

    key_prefix = forms.CharField(label="Prefix of the key", max_length=16)

    def __init__(self, *args: Any, expected: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.expected = expected

    def clean_key_prefix(self) -> str:
        prefix: str = self.cleaned_data["key_prefix"]
        if prefix.removeprefix("ov_") != self.expected:
            raise forms.ValidationError("This is not the prefix of this key.")
        return prefix


class RetentionForm(forms.Form):
    days = forms.IntegerField(
        label="Keep records for (days)",
        min_value=1,
        max_value=3_650,
        help_text="After they occurred; a day later they are deleted. Fewer days begin to take"
        " effect within the hour.",
    )
    seen_days = forms.IntegerField(widget=forms.HiddenInput)


class HoldForm(forms.Form):
    reason = forms.CharField(
        max_length=500,
        help_text="While a hold stands, nothing of this project is removed for its age.",
    )
