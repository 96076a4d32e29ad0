"""Pages of policies and rubrics: editors without a script, publishing, hostile Markdown."""

import re

import pytest

from oversight.audit.models import AuditEvent
from review.models import PolicyVersion, Question, RubricVersion
from review.services import policies
from review.templatetags.markdown import render

BASE = "/p/acme/policies/conversations"
RUBRIC = "/p/acme/rubrics/conversations"


@pytest.fixture
def editor(world):
    """A policy admin in the editor of a fresh draft."""
    browser = world.client("policy_admin")
    assert browser.post(f"{BASE}/draft").status_code == 302
    return browser


def fields_of(page, *forms):
    """What a browser would send back from the forms of a page, unchanged."""
    sent = {}
    for form in forms:
        for bound in form:
            value = bound.value()
            if value not in (None, False):
                sent[bound.html_name] = value
    return sent


def sent_from(page, items):
    formset = page.context[items]
    return fields_of(page, page.context["form"], formset.management_form, *formset.forms)


class TestPolicyEditor:
    EDIT = f"{BASE}/versions/2/edit"

    def test_a_new_version_begins_as_the_last_one_is(self, world, editor):
        first, second = PolicyVersion.objects.order_by("number")
        assert second.status == "draft"
        assert second.digest == first.digest
        assert second.created_by == world.user("policy_admin")

    def test_buttons_rearrange_what_was_typed_and_store_nothing(self, editor):
        sent = sent_from(editor.get(self.EDIT), "clauses")
        titles = [sent[f"clauses-{n}-title"] for n in range(8)]
        sent |= {"clauses-0-title": "", "introduction": "typed, not saved"}
        added = editor.post(self.EDIT, {**sent, "do": "add"})
        assert added.status_code == 200
        forms = added.context["clauses"].forms
        assert len(forms) == 9
        assert [form["title"].value() or "" for form in forms] == ["", *titles[1:], ""]
        assert added.context["form"]["introduction"].value() == "typed, not saved"
        moved = editor.post(self.EDIT, {**sent, "do": "down-0"}).context["clauses"].forms
        assert [form["title"].value() for form in moved][:2] == [titles[1], ""]
        removed = editor.post(self.EDIT, {**sent, "do": "remove-1"}).context["clauses"].forms
        assert [form["title"].value() for form in removed] == ["", *titles[2:]]
        stored = PolicyVersion.objects.get(number=2)
        assert stored.clauses.count() == 8
        assert "typed" not in stored.introduction

    def test_a_draft_is_saved_and_published_as_it_was_shown(self, world, editor):
        sent = sent_from(editor.get(self.EDIT), "clauses")
        sent |= {
            "clauses-0-title": "Help with grave harm",
            "clauses-0-severity": "high",
            "do": "save",
        }
        assert editor.post(self.EDIT, sent).status_code == 302
        page = editor.get(f"{BASE}/versions/2/publish")
        assert "<ins>grave</ins>" in page.content.decode()
        seen = page.context["form"].initial["seen_digest"]
        assert editor.post(f"{BASE}/versions/2/publish", {"seen_digest": seen}).status_code == 302
        states = PolicyVersion.objects.order_by("number").values_list("status", flat=True)
        assert list(states) == ["superseded", "published"]
        event = AuditEvent.objects.filter(action="policy.published").latest("pk")
        assert event.detail == {"version": 2, "digest": seen, "self_approved": True}

    def test_publishing_from_the_editor_saves_first(self, editor):
        sent = sent_from(editor.get(self.EDIT), "clauses")
        sent |= {"clauses-0-title": "Typed last", "do": "publish"}
        answer = editor.post(self.EDIT, sent)
        assert answer["Location"] == f"{BASE}/versions/2/publish"
        assert "Typed last" in editor.get(answer["Location"]).content.decode()
        wrong = editor.post(self.EDIT, sent | {"clauses-0-title": ""})
        assert wrong.status_code == 422

    def test_a_session_that_ended_meanwhile_loses_no_text(self, editor):
        sent = sent_from(editor.get(self.EDIT), "clauses")
        editor.logout()
        answer = editor.post(self.EDIT, sent | {"introduction": "an hour's <work>", "do": "save"})
        assert answer.status_code == 401
        assert "an hour&#x27;s &lt;work&gt;" in answer.content.decode()
        assert not PolicyVersion.objects.filter(introduction__contains="work").exists()

    def test_publishing_what_was_changed_behind_ones_back_is_refused(self, world, editor):
        seen = editor.get(f"{BASE}/versions/2/publish").context["form"].initial["seen_digest"]
        policies.save_policy_draft(world.operator, slug="conversations", number=2, clauses=[])
        answer = editor.post(f"{BASE}/versions/2/publish", {"seen_digest": seen})
        assert answer.status_code == 409
        assert editor.post(f"{BASE}/versions/2/publish", {}).status_code == 409

    def test_saving_over_somebody_elses_change_is_refused_and_keeps_the_text(self, world, editor):
        sent = sent_from(editor.get(self.EDIT), "clauses")
        policies.save_policy_draft(world.operator, slug="conversations", number=2, clauses=[])
        answer = editor.post(self.EDIT, {**sent, "introduction": "my words", "do": "save"})
        assert answer.status_code == 422
        assert "my words" in answer.content.decode()
        assert "somebody else" in answer.content.decode().lower()

    def test_a_wrong_clause_is_marked_where_it_is(self, editor):
        sent = sent_from(editor.get(self.EDIT), "clauses")
        sent |= {"clauses-1-key": sent["clauses-0-key"], "clauses-2-key": "Not One", "do": "save"}
        forms = editor.post(self.EDIT, sent).context["clauses"].forms
        assert [bool(form.errors.get("key")) for form in forms[:4]] == [False, True, True, False]

    def test_a_published_version_has_no_editor(self, editor):
        assert editor.get(f"{BASE}/versions/1/edit").status_code == 302
        assert editor.post(f"{BASE}/versions/1/edit", {"do": "save"}).status_code == 302

    @pytest.mark.parametrize("do", ["remove-99", "up-0", "down-7", "remove--1", "drop", ""])
    def test_a_button_that_is_not_there_breaks_nothing(self, editor, do):
        sent = sent_from(editor.get(self.EDIT), "clauses")
        assert editor.post(self.EDIT, {**sent, "do": do}).status_code in (200, 302)
        assert PolicyVersion.objects.get(number=2).clauses.count() == 8

    def test_a_form_without_its_parts_is_refused(self, editor):
        assert editor.post(self.EDIT, {"do": "save"}).status_code == 422
        assert editor.post(self.EDIT, {"do": "add"}).status_code == 200


class TestRubricEditor:
    EDIT = f"{RUBRIC}/versions/2/edit"

    @pytest.fixture
    def editor(self, world):
        browser = world.client("policy_admin")
        assert browser.post(f"{RUBRIC}/draft").status_code == 302
        return browser

    def test_a_form_that_is_saved_unchanged_changes_nothing(self, editor):
        before, draft = RubricVersion.objects.order_by("number")
        sent = sent_from(editor.get(self.EDIT), "questions")
        assert editor.post(self.EDIT, {**sent, "do": "save"}).status_code == 302
        draft.refresh_from_db()
        assert draft.digest == before.digest

    def test_each_kind_of_question_is_typed_in(self, editor):
        sent = sent_from(editor.get(self.EDIT), "questions")
        sent |= {
            "questions-0-kind": "choice",
            "questions-0-options": "none: No harm\n mild\ngrave : Grave: really",
            "questions-0-violation_in": "mild, grave",
            "questions-1-kind": "number",
            "questions-1-options": "",
            "questions-1-minimum": "0",
            "questions-1-maximum": "1.5",
            "questions-2-options": "1: bad\n5: good",
        }
        assert editor.post(self.EDIT, {**sent, "do": "save"}).status_code == 302
        choice, number, scale = Question.objects.filter(version__number=2)
        assert choice.options == [
            {"value": "none", "label": "No harm"},
            {"value": "mild", "label": "mild"},
            {"value": "grave", "label": "Grave: really"},
        ]
        assert choice.violation == {"in": ["mild", "grave"]}
        assert number.options == {"min": 0, "max": 1.5}
        assert scale.options == {"min": 1, "max": 5, "labels": {"1": "bad", "5": "good"}}

    def test_a_rule_that_fits_no_answer_is_marked_at_its_field(self, editor):
        sent = sent_from(editor.get(self.EDIT), "questions")
        sent |= {"questions-0-violation_in": "maybe", "do": "save"}
        answer = editor.post(self.EDIT, sent)
        assert answer.status_code == 422
        assert "violation_in" in answer.context["questions"].forms[0].errors

    def test_a_rubric_without_a_rule_is_not_published_and_the_page_says_why(self, editor):
        sent = sent_from(editor.get(self.EDIT), "questions")
        editor.post(self.EDIT, {**sent, "questions-0-violation_in": "", "do": "save"})
        publish = f"{RUBRIC}/versions/2/publish"
        seen = editor.get(publish).context["form"].initial["seen_digest"]
        answer = editor.post(publish, {"seen_digest": seen})
        assert answer.status_code == 422
        assert "what counts as a violation" in answer.content.decode()
        assert RubricVersion.objects.get(number=2).status == "draft"

    def test_a_draft_after_a_policy_change_drops_lost_clauses(self, world, editor):
        clause = {"key": "privacy", "title": "P", "text": "T", "severity": "low"}
        policies.draft_policy(world.operator, slug="conversations", clauses=[clause])
        policies.publish_policy(world.operator, slug="conversations", number=2)
        assert editor.post(f"{RUBRIC}/draft").status_code == 302
        kept = Question.objects.filter(version__number=3).values_list("clauses", flat=True)
        assert list(kept) == [["privacy"], ["privacy"], []]
        page = editor.get(f"{RUBRIC}/").content.decode()
        assert "A newer version of this policy is published" in page


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](http://evil.example/pixel.png)",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    "<a href='javascript:alert(1)'>x</a>",
    "<svg/onload=alert(1)>",
    "<div hx-get=/x hx-trigger=load>",
    "<style>@import 'http://evil.example'</style>",
    '[x](http://ok.example "onmouseover=alert(1)")',
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "```\n</code></pre><script>alert(1)</script>\n```",
    "# <b>Head</b>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_becomes_harmless_markup(text):
    html = render(text)
    tags = set(re.findall(r"<\s*([a-zA-Z0-9]+)", html))
    assert tags <= {"p", "a", "strong", "code", "pre", "em"}
    for attributes in re.findall(r"<[a-z]+\s([^>]*)>", html):
        assert set(re.findall(r'([a-zA-Z-]+)="', attributes)) <= {"href", "title", "rel"}
    for href in re.findall(r'href="([^"]*)"', html):
        assert href.startswith(("http://", "https://", "mailto:"))


def test_markdown_that_people_write_is_kept():
    html = render("Some *words*, `code`.\n\n1. one\n2. two\n\n[link](https://ok.example)")
    assert "<em>words</em>" in html
    assert "<ol>" in html
    assert 'href="https://ok.example" rel="noopener noreferrer nofollow"' in html


def test_hostile_texts_reach_the_page_as_text(world):
    text = "<script>alert(1)</script> **bold**"
    clause = {"key": "x", "title": text, "text": text, "severity": "low"}
    draft = {"clauses": [clause], "introduction": text, "changelog": text}
    policies.draft_policy(world.operator, slug="conversations", **draft)
    browser = world.client("policy_admin")
    for path in ("/?version=2", "/versions/2/edit", "/versions/2/publish", "/versions/2/diff"):
        page = browser.get(BASE + path).content.decode()
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page
