"""The form that asks for a figure, by GET, in the API's terms: a figure is a link."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time
from typing import Any

from django import forms

from review import rendering
from review.estimates.answers import Asked
from review.models import ReviewQueue
from scoring.core.estimation.estimate import METRICS
from scoring.models import ModelVersion

METRIC_NAMES = {
    "prevalence": "Prevalence",
    "precision": "Precision",
    "recall": "Recall",
    "fpr": "False-positive rate",
    "fnr": "False-negative rate",
}
_DAY = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class FigureForm(forms.Form):
    queue = forms.ChoiceField()
    question = forms.ChoiceField(required=False, label="What counts")
    metric = forms.ChoiceField(choices=[(metric, METRIC_NAMES[metric]) for metric in METRICS])
    at = forms.CharField(
        required=False,
        label="Flagged from",
        help_text="tier, tier:2 or score:0.95",
        max_length=40,
    )
    model_version = forms.ChoiceField(required=False, label="Model version")
    segment = forms.CharField(
        required=False, help_text="name:value, such as region:eu", max_length=200
    )
    since = forms.DateField(required=False, widget=_DAY, label="From (UTC)")
    until = forms.DateField(required=False, widget=_DAY, label="Before (UTC)")

    def __init__(
        self,
        *args: Any,
        queues: Iterable[ReviewQueue],
        offered: Sequence[tuple[Asked, str]],
        models: Iterable[ModelVersion],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._models = {str(one.pk): one for one in models}
        choices = {
            "queue": [(queue.slug, queue.name) for queue in queues],
            "question": [(str(asked), words) for asked, words in offered],
            "model_version": [
                ("", "All"),
                *((pk, rendering.clean_line(str(one))) for pk, one in self._models.items()),
            ],
        }
        for name, options in choices.items():
            self.fields[name].choices = options  # type: ignore[attr-defined]  # a ChoiceField

    def parameters(self) -> dict[str, str]:
        """What the API would be asked for; only of a valid form."""
        given = self.cleaned_data
        told = {name: given[name] for name in ("queue", "question", "metric", "at", "segment")}
        if given["model_version"]:
            model = self._models[given["model_version"]]
            told |= {"model": model.name, "version": model.version}
        for name in ("since", "until"):
            if given[name]:
                told[name] = datetime.combine(given[name], time.min, UTC).isoformat()
        return {name: value for name, value in told.items() if value}

    def add_error(self, field: str | None, error: Any) -> None:
        """Errors of the API's parameters, at the field that sent them."""
        at = "model_version" if field in ("model", "version") else field
        super().add_error(at, error)
