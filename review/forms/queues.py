"""The form of a queue's settings. Bounds are the service's."""

from collections.abc import Iterable
from typing import Any

from django import forms

from oversight.lib import codec, errors
from review.models import ReviewQueue, Rubric
from review.models.queues import BudgetRule
from review.queue_settings import SETTINGS, STRATEGIES
from scoring.core.queue_profiles import BALANCED, DISCOVER, MEASURE, UNTAUGHT_FLOOR


class QueueForm(forms.Form):
    name = forms.CharField(max_length=120, required=False)
    rubric = forms.ChoiceField()
    filter = forms.CharField(
        label="Which records may enter",
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "class": "mono", "spellcheck": "false"}),
        help_text='JSON, for example {"region": ["eu"], "tier_min": 2, '
        '"context": {"language": "en"}}. All records where blank.',
    )
    budget = forms.IntegerField(help_text="Records drawn per window from the stream.")
    evaluation_budget = forms.IntegerField(
        help_text="Records per window that are held out for evaluation."
    )
    intervened_budget = forms.IntegerField(
        help_text="Records per window on which the monitor intervened."
    )
    budget_rule = forms.ChoiceField(
        label="How much of the budgets is drawn",
        choices=BudgetRule.choices,
        help_text="By capacity, a window asks for what was answered lately, so that nothing "
        "piles up and nobody runs dry.",
    )
    max_age_hours = forms.IntegerField(
        label="Age limit in hours",
        help_text="Cases that nobody has begun by then are withdrawn, last ones first.",
    )
    strategy = forms.ChoiceField(choices=[(name, name) for name in STRATEGIES])
    tau = forms.CharField(
        label="Temperature τ",
        help_text="“auto”, or a number: how strongly information gain outweighs chance.",
    )
    effective_size = forms.FloatField(
        label="Effective size",
        help_text="Where τ is “auto”: over how many records chance spreads for each one drawn. "
        f"{DISCOVER.size_in_budgets:g} finds most; {MEASURE.size_in_budgets:g} measures best.",
    )
    floor = forms.FloatField(
        help_text="Share of the budget that is drawn by chance alone, from 0.01 to 1. "
        f"{DISCOVER.floor} to find violations, {MEASURE.floor} to measure rates, {BALANCED.floor} "
        f"for both. At least {UNTAUGHT_FLOOR} until verdicts have taught the draw."
    )
    segment_terms = forms.CharField(
        label="Segments that may differ",
        required=False,
        help_text="“region” or context fields, separated by commas: whether violations are more "
        "frequent in one is learnt.",
    )
    overlap = forms.FloatField(
        help_text="Up to 1: share of cases with a second reviewer; from 1: reviewers for each."
    )
    gold_share = forms.FloatField(
        help_text="Share of cases with a known answer, up to 0.5. Kept for when there are gold "
        "items: nothing is drawn by it yet."
    )
    evidence = forms.ChoiceField(
        choices=ReviewQueue.Evidence.choices,
        help_text="When a reviewer sees score, tier and reasons.",
    )
    lease_seconds = forms.IntegerField(help_text="How long a claimed case stays reserved.")
    is_paused = forms.BooleanField(label="Paused: nothing is served", required=False)

    def __init__(self, *args: Any, rubrics: Iterable[Rubric], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["rubric"].choices = [  # type: ignore[attr-defined]  # a ChoiceField
            (rubric.slug, rubric.name) for rubric in rubrics
        ]

    def clean_filter(self) -> Any:
        text = self.cleaned_data["filter"].strip()
        try:
            return codec.decode(text.encode()) if text else {}
        except errors.InvalidInput as error:
            raise forms.ValidationError(error.message) from None

    def clean_tau(self) -> Any:
        text = self.cleaned_data["tau"].strip()
        try:
            return "auto" if text == "auto" else float(text)
        except ValueError:
            raise forms.ValidationError("“auto”, or a number.") from None

    def clean_segment_terms(self) -> list[str]:
        listed = self.cleaned_data["segment_terms"].split(",")
        return [name for part in listed if (name := part.strip())]

    def settings(self) -> dict[str, Any]:
        """What the services take."""
        return {name: self.cleaned_data[name] for name in SETTINGS}


class NewQueueForm(QueueForm):
    slug = forms.SlugField(max_length=63, help_text="In addresses; fixed from then on.")
    field_order = ("slug",)


def as_fields(queue: ReviewQueue) -> dict[str, Any]:
    """A queue, or the defaults of an unsaved one, as initial values."""
    return {
        **{name: getattr(queue, name) for name in SETTINGS},
        "tau": "auto" if queue.tau is None else f"{queue.tau:g}",
        "segment_terms": ", ".join(queue.segment_terms),
        "filter": codec.encode(queue.filter).decode() if queue.filter else "",
        "rubric": queue.rubric.slug if queue.rubric_id else None,
    }
