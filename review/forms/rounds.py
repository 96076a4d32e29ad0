"""The form that asks for a draw. Bounds are the service's."""

from collections.abc import Iterable
from typing import Any

from django import forms

from review.models import ReviewQueue


class DrawForm(forms.Form):
    queue = forms.ChoiceField()
    budget = forms.IntegerField(
        required=False, help_text="Records from the stream; the queue's own budget where blank."
    )

    windows = forms.ChoiceField(
        choices=[("", "not drawn yet"), ("again", "drawn before: once more, from what is left")],
        required=False,
    )

    def __init__(self, *args: Any, queues: Iterable[ReviewQueue], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["queue"].choices = [  # type: ignore[attr-defined]  # a ChoiceField
            (queue.slug, queue.name) for queue in queues
        ]
