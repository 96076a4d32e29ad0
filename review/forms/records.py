"""Forms of records: narrowing their list, and asking a person to look at one."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django import forms

from oversight.lib.clock import rfc3339
from review.models import ReviewQueue
from scoring.models import Action

TIERS = range(5)


class MomentInput(forms.DateTimeInput):
    """A browser's own field for day and time; what it sends has no offset and is read as UTC."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M:%S", attrs={"step": 1})


class RecordFilterForm(forms.Form):
    """The filters of the list of records; blank ones do not narrow."""

    model = forms.CharField(
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"list": "models", "autocomplete": "off"}),
    )
    version = forms.CharField(
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"list": "versions", "autocomplete": "off"}),
    )
    tier = forms.ChoiceField(
        required=False, choices=[("", "any"), *((str(tier), f"Tier {tier}") for tier in TIERS)]
    )
    action = forms.ChoiceField(
        required=False, choices=[("", "any"), *((label, label) for label in Action.labels)]
    )
    region = forms.CharField(required=False, max_length=200)
    occurred_after = forms.DateTimeField(label="From (UTC)", required=False, widget=MomentInput)
    occurred_before = forms.DateTimeField(label="Before (UTC)", required=False, widget=MomentInput)

    def params(self) -> dict[str, str]:
        """The filters that are set, as `scoring.selectors.records` takes them."""
        return {name: _text(value) for name, value in self.cleaned_data.items() if value}


def _text(value: str | datetime) -> str:
    return rfc3339(value) if isinstance(value, datetime) else value


class EscalationForm(forms.Form):
    """Asking a person to look at a record."""

    queue = forms.ChoiceField()
    reason = forms.CharField(
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="For the file; reviewers do not see it before they answer.",
    )

    def __init__(self, *args: Any, queues: Iterable[ReviewQueue], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["queue"].choices = [  # type: ignore[attr-defined]  # a ChoiceField
            (queue.slug, queue.name) for queue in queues
        ]
