"""The form that asks for a new scorer version. What it may hold is the fit's to say."""

from typing import Any

from django import forms

from oversight.lib import codec, errors
from scoring.services import guarding, kinds


class FitForm(forms.Form):
    since = forms.DateTimeField(
        label="Baseline from (UTC)",
        required=False,
        widget=forms.DateTimeInput(
            format="%Y-%m-%dT%H:%M:%S", attrs={"type": "datetime-local", "step": 1}
        ),
    )
    until = forms.DateTimeField(
        label="Baseline before (UTC)",
        required=False,
        widget=forms.DateTimeInput(
            format="%Y-%m-%dT%H:%M:%S", attrs={"type": "datetime-local", "step": 1}
        ),
        help_text="All records where blank; the newest 20,000 of them are used.",
    )
    kind = forms.ChoiceField(
        label="Kind",
        required=False,
        choices=[("", "What the window is enough for"), *((name, name) for name in kinds.KINDS)],
        help_text="An ensemble takes 600 records and controls its false alarms; percentiles "
        "take 300.",
    )
    invariants = forms.ChoiceField(
        label="Invariants",
        required=False,
        choices=[
            (guarding.KEEP, "Those of the version in use"),
            (guarding.STARTER, "The starter pack"),
            (guarding.NONE, "None"),
        ],
        help_text="Checked beside the score, on every record.",
    )
    config = forms.CharField(
        label="Settings",
        required=False,
        widget=forms.Textarea(attrs={"rows": 5, "class": "mono", "spellcheck": "false"}),
        help_text='JSON, for example {"signals": {"toxicity": {"direction": "high", "weight": 2}}, '
        '"tier_rates": [0.1, 0.05, 0.01, 0.001]}. All signals that occur, high being anomalous, '
        "where blank.",
    )

    def clean_kind(self) -> str | None:
        return self.cleaned_data["kind"] or None

    def clean_invariants(self) -> str:
        return self.cleaned_data["invariants"] or guarding.KEEP

    def clean_config(self) -> dict[str, Any]:
        text = self.cleaned_data["config"].strip()
        try:
            value = codec.decode(text.encode()) if text else {}
        except errors.InvalidInput as error:
            raise forms.ValidationError(error.message) from None
        if not isinstance(value, dict):
            raise forms.ValidationError("A JSON object is expected.")
        return value
