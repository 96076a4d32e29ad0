"""Forms of policies. They read; services decide."""

from typing import Any

from django import forms

from review.clauses import KEY_RULE, MAX_CLAUSES, SEVERITIES


class NewNamedForm(forms.Form):
    """A new policy or rubric."""

    slug = forms.SlugField(
        max_length=63, help_text="In addresses and exports: lower-case letters, digits, hyphens."
    )
    name = forms.CharField(max_length=120, required=False)


class PolicyForm(forms.Form):
    introduction = forms.CharField(
        required=False,
        help_text="Markdown, shown before the clauses.",
        widget=forms.Textarea(attrs={"rows": 5}),
    )
    changelog = forms.CharField(
        label="What is new",
        required=False,
        help_text="What changed and why, told on the policy's page.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    seen_digest = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)


class ClauseForm(forms.Form):
    title = forms.CharField(max_length=200)
    key = forms.CharField(max_length=63, help_text=f"The same through all versions: {KEY_RULE}.")
    severity = forms.ChoiceField(choices=[(word, word) for word in SEVERITIES], initial="medium")
    text = forms.CharField(help_text="Markdown.", widget=forms.Textarea(attrs={"rows": 6}))

    def plain(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in ("key", "title", "text", "severity")}


ClauseFormSet = forms.formset_factory(
    ClauseForm, extra=0, max_num=MAX_CLAUSES, absolute_max=MAX_CLAUSES + 1
)


class PublishForm(forms.Form):
    seen_digest = forms.CharField(max_length=64, widget=forms.HiddenInput)
