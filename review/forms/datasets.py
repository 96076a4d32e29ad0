"""The form that asks for a dataset. What is allowed together is the service's."""

from collections.abc import Iterable
from typing import Any

from django import forms

from oversight.lib import codec, errors
from review.datasets.columns import FORMATS, KINDS, LABEL_RULES, SPLITS
from review.models import ReviewQueue

_KINDS = {
    "raw": "Raw: one row per verdict, corrections included",
    "calibration": "Calibration: scores and labels, no content",
    "classification": "Classification: content and label, for training",
    "evaluation": "Evaluation: held-out records only",
}
_RULES = {
    "adjudicated": "Adjudicated where there is one, else the majority",
    "majority": "Majority of the blind verdicts",
    "single": "The first blind verdict",
}


class DatasetForm(forms.Form):
    name = forms.SlugField(
        max_length=63, help_text="The same name again makes the next version of it."
    )
    queue = forms.ChoiceField()
    question = forms.CharField(
        required=False,
        max_length=63,
        help_text="The key of the question that gives the label; “violation or not” where blank.",
    )
    kind = forms.ChoiceField(choices=[(kind, _KINDS[kind]) for kind in KINDS])
    format = forms.ChoiceField(choices=[(name, name) for name in FORMATS])
    label_rule = forms.ChoiceField(choices=[(rule, _RULES[rule]) for rule in LABEL_RULES])
    split = forms.ChoiceField(
        required=False, choices=[("", "both"), *((split, split) for split in SPLITS)]
    )
    filters = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "class": "mono", "spellcheck": "false"}),
        help_text='JSON, for example {"since": "2026-01-01T00:00:00Z", "region": "eu"}.',
    )

    def __init__(self, *args: Any, queues: Iterable[ReviewQueue], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["queue"].choices = [  # type: ignore[attr-defined]  # a ChoiceField
            (queue.slug, queue.name) for queue in queues
        ]

    def clean_filters(self) -> Any:
        text = self.cleaned_data["filters"].strip()
        try:
            found = codec.decode(text.encode()) if text else {}
        except errors.InvalidInput as error:
            raise forms.ValidationError(error.message) from None
        if not isinstance(found, dict):
            raise forms.ValidationError("An object of conditions.")
        return found

    def clean_split(self) -> str | None:
        return self.cleaned_data["split"] or None
