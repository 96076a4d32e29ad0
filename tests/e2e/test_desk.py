"""The reviewer's desk in a real browser: by keyboard alone, without a script, through faults."""

import itertools

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from review.models import Case, EvidenceReveal, Skip, Slot, Verdict
from tests.e2e import desk_world
from tests.e2e.desk_steps import case_id, desk_url, go_on, next_case, start

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_dozen_cases_by_keyboard_alone(visit):
    questions = [*desk_world.BINARY, desk_world.EVERY_KIND[1], {**desk_world.SEVERITY}]
    world = desk_world.build(
        [(f"question {i}", f"answer {i}") for i in range(12)], questions=questions
    )
    visitor = visit(world.user)
    page = visitor.page
    start(visitor, world)
    boxes = set()
    for number in range(12):
        before = case_id(page)
        boxes.add(str(page.locator(".action-bar").bounding_box()))
        if number == 0:  # keys are dead right after a swap; the first page is no swap
            page.keyboard.press("j")
            assert visitor.focused() == "LI"
            page.keyboard.press("r")
            expect(page.locator("#policy")).to_be_visible()
            expect(page.locator("#policy strong").first).to_have_text("never")
            page.keyboard.press("Escape")
            expect(page.locator("#policy")).to_be_hidden()
        page.keyboard.press("x" if number % 3 == 0 else "a")
        page.keyboard.press("2")
        page.keyboard.press("4")
        if number == 5:
            page.keyboard.press("n")
            page.keyboard.type("12 as in a dozen")
            next_case(page, before, "Control+Enter")
        else:
            next_case(page, before, "Enter")
        assert visitor.focused() != "BODY"
        assert page.evaluate("document.activeElement.id") == "case"
        announced = page.inner_text("#announcer")
        assert announced == (
            "No case in hand."
            if number == 11
            else f"Case with 2 turns. {10 - number} more waiting."
        )
    verdicts = list(Verdict.objects.order_by("created_at"))
    assert [v.case_id for v in verdicts] == [case.pk for case in world.cases]
    assert [v.violation for v in verdicts] == [i % 3 == 0 for i in range(12)]
    assert all(v.answers["cause"] == "advice" and v.answers["severity"] == 4 for v in verdicts)
    assert [v.note.note for v in verdicts][5] == "12 as in a dozen"
    assert all(v.is_blind and v.seconds is not None and v.seconds < 600 for v in verdicts)
    assert len(boxes) == 1
    assert visitor.complaints == []


def test_a_binary_rubric_takes_one_key_a_case_and_a_double_key_does_no_harm(visit):
    world = desk_world.build([("q", f"a{i}") for i in range(3)], questions=desk_world.BINARY)
    visitor = visit(world.user)
    page = visitor.page
    start(visitor, world)
    before = case_id(page)
    # Pressed within the page: whoever presses from without may come too late on a busy machine.
    page.evaluate(
        """() => {
          const press = (key) => document.activeElement.dispatchEvent(
            new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
          // Right after the swap: meant for the case before.
          document.addEventListener("htmx:after:swap", () => press("a"), { once: true });
          press("x");
          press("x");  // the same key again, at once
        }"""
    )
    page.wait_for_function("id => document.querySelector('#case').dataset.case !== id", arg=before)
    page.wait_for_timeout(500)
    assert Verdict.objects.count() == 1
    assert Verdict.objects.get().violation is True
    assert visitor.complaints == []


def test_the_desk_works_without_a_script(visit):
    quoted = "take ibuprofen"
    world = desk_world.build([("ibuprofen?", f"Yes, {quoted} now."), ("two", "2")])
    visitor = visit(world.user, java_script_enabled=False)
    page = visitor.page
    visitor.open(reverse("review:queue_list", args=[world.project.slug]))
    go_on(page, "Start")
    go_on(page, "Submit")
    assert page.locator("#error-violates").inner_text() == "this question needs an answer"
    page.locator("[name=q-violates][value=true]").check()
    page.locator("[name=q-cause][value=advice]").check()
    page.locator("[name=q-where]").fill("not in the text")
    page.locator("[name=q-people]").fill("2")
    go_on(page, "Submit")
    assert "not in the conversation" in page.locator("#error-where").inner_text()
    assert page.locator("[name=q-violates][value=true]").is_checked()
    assert page.locator("[name=q-people]").input_value() == "2"
    page.locator("[name=q-where]").fill(quoted)
    go_on(page, "Submit")
    verdict = Verdict.objects.get()
    assert verdict.answers == {"violates": True, "cause": "advice", "people": 2}
    assert verdict.note.texts == {
        "where": [{"part": "output", "start": 5, "end": 5 + len(quoted), "quote": quoted}]
    }
    page.get_by_role("button", name="Skip").click()  # a popover: no script needed
    page.get_by_label("I cannot judge this").check()
    go_on(page, "Skip this case")
    assert Skip.objects.get().reason == "I cannot judge this"
    expect(page.get_by_role("heading", name="All done")).to_be_visible()
    page.get_by_role("button", name="Show evidence").click()
    expect(page.get_by_text("refusal_gap")).to_be_visible()
    page.locator("[name=q-violates][value=false]").check()
    go_on(page, "Save the change")
    assert Verdict.objects.get(supersedes=verdict).is_blind is False


def test_giving_a_case_back_frees_it(visit):
    world = desk_world.build([("one", "1")])
    visitor = visit(world.user)
    start(visitor, world)
    visitor.page.get_by_role("button", name="Give back").click()
    visitor.page.wait_for_url("**/queues/")
    assert Slot.objects.get().reviewer is None


def test_nothing_of_the_machine_is_in_the_page_before_the_verdict(visit):
    world = desk_world.build(
        [("one", "1"), ("two", "2")], external_id="", questions=desk_world.BINARY
    )
    Case.objects.filter(pk=world.cases[0].pk).update(kind=Case.Kind.GOLD)
    visitor = visit(world.user)
    page = visitor.page
    start(visitor, world)
    html = page.content()
    for secret in (
        "0.987",
        "0.4321",
        "refusal_gap",
        "typicality",
        "req-0000",
        "gold",
        "sampled",
        "Tier",
    ):
        assert secret not in html
    next_case(page, case_id(page), "x")
    page.keyboard.press("v")
    page.wait_for_selector(".evidence")
    assert "refusal_gap" in page.inner_text(".evidence")
    assert EvidenceReveal.objects.count() == 1
    page.keyboard.press("a")
    page.wait_for_url("**/review/")
    first, changed = Verdict.objects.order_by("created_at")
    assert (first.violation, first.is_blind) == (True, True)
    assert (changed.violation, changed.is_blind, changed.supersedes) == (False, False, first)
    assert visitor.complaints == []


def test_a_case_that_another_took_keeps_what_was_typed(visit):
    world = desk_world.build([("one", "1")], questions=desk_world.BINARY)
    visitor = visit(world.user)
    page = visitor.page
    start(visitor, world)
    page.keyboard.press("n")
    page.keyboard.type("a long thought")
    other = desk_world.User.objects.create_user("other@example.org", desk_world.PASSWORD)
    Slot.objects.update(reviewer=other, token="0b1e4f3c-0000-4000-8000-000000000000")
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    expect(page.locator("#case-alert")).to_contain_text("not yours any more")
    assert page.input_value("#note") == "a long thought"
    assert page.locator("[name=q-violates][value=true]").is_checked()
    assert Verdict.objects.count() == 0
    assert visitor.complaints == []


def test_an_expired_lease_is_taken_up_again_by_submitting(visit):
    world = desk_world.build([("one", "1")], questions=desk_world.BINARY)
    visitor = visit(world.user)
    start(visitor, world)
    Slot.objects.update(lease_expires_at=desk_world.NOW)
    next_case(visitor.page, case_id(visitor.page), "x")
    assert Verdict.objects.get().violation is True


def test_answers_survive_being_offline_and_a_reload(visit):
    world = desk_world.build([("secret words", "1")])
    visitor = visit(world.user)
    page = visitor.page
    start(visitor, world)
    page.keyboard.press("1")
    page.keyboard.press("2")
    page.locator("[name=q-where]").fill("[input 0-6] secret")
    page.locator("#note").fill("half a note")
    page.keyboard.press("Escape")
    visitor.context.set_offline(True)
    page.keyboard.press("Enter")
    expect(page.locator("#case-alert")).to_contain_text("cannot be reached")
    assert page.input_value("#note") == "half a note"
    visitor.context.set_offline(False)
    stored = page.evaluate("Object.values(sessionStorage).join()")
    assert "secret" not in stored
    page.reload()
    assert page.input_value("#note") == "half a note"
    assert page.input_value("[name=q-where]") == "[input 0-6]"
    before = case_id(page)
    page.locator("#case").focus()
    next_case(page, before, "Enter")
    assert Verdict.objects.get().note.texts["where"][0]["quote"] == "secret"
    assert page.evaluate("Object.keys(sessionStorage).filter(k => k.includes('draft')).length") == 0


def test_a_selected_passage_becomes_a_line_with_raw_offsets(visit):
    text = "safe\u202e words \U0001f600 then the harmful part, שלום"
    world = desk_world.build([("q", text)])
    visitor = visit(world.user)
    page = visitor.page
    start(visitor, world)
    page.evaluate(
        """() => {
          const block = document.querySelector('.output .block');
          const last = block.lastChild;
          const range = new Range();
          range.setStart(last, last.data.indexOf('the harmful'));
          range.setEnd(last, last.data.indexOf(','));
          getSelection().removeAllRanges();
          getSelection().addRange(range);
        }"""
    )
    for _ in range(6):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("1")
    begin = text.index("the harmful")
    end = text.index(",")
    assert page.input_value("[name=q-where]") == f"[output {begin}-{end}] the harmful part"
    painted = page.evaluate("[...CSS.highlights.get('passages')].map(r => r.toString())")
    assert painted == ["the harmful part"]


def test_tab_reaches_everything_and_never_gets_lost(visit):
    world = desk_world.build([("q", "a")])
    visitor = visit(world.user)
    page = visitor.page
    start(visitor, world)
    seen = []
    for _ in itertools.repeat(None, 60):
        page.keyboard.press("Tab")
        what = page.evaluate(
            "(e => e === document.body ? 'BODY' : e.name || e.id || e.textContent.trim())"
            "(document.activeElement)"
        )
        if what == "BODY" or (seen and what == seen[0]):
            break
        seen.append(what)
    text = "\n".join(seen)
    for wanted in (
        "Skip to content",
        "q-violates",
        "q-where",
        "note",
        "Submit",
        "Give back",
        "Account",
    ):
        assert wanted in text


def test_shortcuts_can_be_switched_off_and_do_not_fire_while_typing(visit):
    world = desk_world.build([("q", "a")], questions=desk_world.BINARY)
    visitor = visit(world.user)
    page = visitor.page
    start(visitor, world)
    page.keyboard.press("n")
    page.keyboard.type("xaxs1")
    assert page.input_value("#note") == "xaxs1"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.get_by_label("Single-key shortcuts on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    page.wait_for_timeout(300)
    assert Verdict.objects.count() == 0
    assert not page.locator("[name=q-violates][value=true]").is_checked()


def test_the_theme_switch_holds_at_once_and_after_a_reload(visit):
    world = desk_world.build([("q", "a")])
    visitor = visit(world.user, color_scheme="light")
    page = visitor.page
    visitor.open(desk_url(world))
    page.get_by_role("button", name="Account").click()
    with page.expect_response("**/theme"):
        page.get_by_role("button", name="Dark").click()
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    page.reload()
    assert page.get_attribute("html", "data-theme") == "dark"
    assert visitor.complaints == []
