"""The form that asks for a new scorer version. What it may hold is the fit's to say."""

from typing import Any

from django import forms

from oversight.lib import codec, errors


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
    config = forms.CharField(
        label="Settings",
        required=False,
        widget=forms.Textarea(attrs={"rows": 5, "class": "mono", "spellcheck": "false"}),
        help_text='JSON, for example {"signals": {"toxicity": {"direction": "high", "weight": 2}}, '
        '"tier_rates": [0.1, 0.05, 0.01, 0.001]}. All signals that occur, high being anomalous, '
        "where blank.",
    )

    def clean_config(self) -> dict[str, Any]:
        text = self.cleaned_data["config"].strip()
        try:
            value = codec.decode(text.encode()) if text else {}
        except errors.InvalidInput as error:
            raise forms.ValidationError(error.message) from None
        if not isinstance(value, dict):
            raise forms.ValidationError("A JSON object is expected.")
        return value
