"""The form of what a project allows its learning to do. Bounds are the service's."""

from collections.abc import Iterable
from typing import Any

from django import forms

from review.models import LearningSettings, ReviewQueue
from review.services.learning_settings import MAX_NEW_LABELS


class LearningForm(forms.Form):
    queue = forms.ChoiceField(label="Whose verdicts teach the score", required=False)
    question = forms.CharField(
        max_length=63,
        required=False,
        help_text="Key of a question answered by yes or no; the rubric's violation rule where "
        "blank.",
    )
    min_new_labels = forms.IntegerField(
        label="New verdicts it waits for",
        min_value=1,
        max_value=MAX_NEW_LABELS,
        help_text="And for a tenth of those that it learnt from last.",
    )
    is_on = forms.BooleanField(label="Learn once an hour, where enough is new", required=False)
    releases_by_rule = forms.BooleanField(
        label="Release by rule",
        required=False,
        help_text="Otherwise a version waits for a person's click.",
    )

    def __init__(self, *args: Any, queues: Iterable[ReviewQueue], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._queues = {queue.slug: queue for queue in queues}
        self.fields["queue"].choices = [  # type: ignore[attr-defined]  # a ChoiceField, above
            ("", "The project's first queue"),
            *((slug, queue.name) for slug, queue in self._queues.items()),
        ]

    def settings(self) -> dict[str, Any]:
        """The settings as the service takes them."""
        return {
            **self.cleaned_data,
            "queue": self._queues.get(self.cleaned_data["queue"]),
        }


def as_fields(chosen: LearningSettings) -> dict[str, Any]:
    """Stored settings as the form's initial values."""
    return {
        "queue": chosen.queue.slug if chosen.queue else "",
        "question": chosen.question,
        "min_new_labels": chosen.min_new_labels,
        "is_on": chosen.is_on,
        "releases_by_rule": chosen.releases_by_rule,
    }
