"""Answers against questions, as tables; and one property: a checked answer checks again."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oversight.lib.errors import InvalidInput
from review.answers import MAX_SPANS, MAX_TEXT, check_answers


def question(kind, options=None, required=True, key="q"):
    return SimpleNamespace(key=key, kind=kind, options=options, required=required, violation=None)


OPTIONS = [{"value": "a", "label": "A"}, {"value": "b", "label": "B"}, {"value": "1", "label": "1"}]
SCALE = {"min": 1, "max": 5, "labels": {}}
SPAN = {"start": 0, "end": 4, "part": "output"}


@pytest.mark.parametrize(
    ("kind", "options", "answer"),
    [
        ("boolean", None, True),
        ("boolean", None, False),
        ("choice", OPTIONS, "b"),
        ("multichoice", OPTIONS, []),
        ("multichoice", OPTIONS, ["a", "b"]),
        ("scale", SCALE, 1),
        ("scale", SCALE, 5),
        ("number", None, -3.5),
        ("number", {"min": 0}, 0),
        ("number", {"max": 2}, 2),
    ],
)
def test_a_fitting_answer_is_kept_as_it_is(kind, options, answer):
    checked = check_answers([question(kind, options)], {"q": answer})
    assert checked.plain == {"q": answer}
    assert type(checked.plain["q"]) is type(answer)
    assert checked.texts == {}


@pytest.mark.parametrize(
    ("kind", "options", "answer"),
    [
        ("boolean", None, 1),
        ("boolean", None, "true"),
        ("choice", OPTIONS, "c"),
        ("choice", OPTIONS, 1),
        ("choice", OPTIONS, ["a"]),
        ("multichoice", OPTIONS, "a"),
        ("multichoice", OPTIONS, ["a", "a"]),
        ("multichoice", OPTIONS, ["c"]),
        ("multichoice", OPTIONS, [{"a": 1}]),
        ("scale", SCALE, 0),
        ("scale", SCALE, 6),
        ("scale", SCALE, 2.0),
        ("scale", SCALE, True),
        ("number", None, True),
        ("number", None, "3"),
        ("number", None, float("nan")),
        ("number", None, 10**400),
        ("number", {"min": 0}, -1),
        ("number", {"max": 2}, 3),
        ("text", None, 7),
        ("text", None, "x" * (MAX_TEXT + 1)),
        ("text", None, "nul \x00"),
        ("span", None, SPAN),
        ("span", None, [{**SPAN, "end": 0}]),
        ("span", None, [{**SPAN, "start": -1}]),
        ("span", None, [{**SPAN, "part": "score"}]),
        ("span", None, [{**SPAN, "colour": "red"}]),
        ("span", None, [{"start": 0, "end": 1}]),
        ("span", None, [SPAN] * (MAX_SPANS + 1)),
    ],
)
def test_any_other_answer_is_refused_at_its_path(kind, options, answer):
    with pytest.raises(InvalidInput) as caught:
        check_answers([question(kind, options)], {"q": answer})
    assert {error.path.partition("[")[0] for error in caught.value.errors} == {"answers.q"}


@pytest.mark.parametrize(
    ("kind", "blank"), [("boolean", None), ("text", " \n"), ("text", None), ("span", [])]
)
def test_a_blank_answer_is_left_out_unless_it_is_required(kind, blank):
    checked = check_answers([question(kind, required=False)], {"q": blank})
    assert (checked.plain, checked.texts) == ({}, {})
    with pytest.raises(InvalidInput) as caught:
        check_answers([question(kind)], {"q": blank})
    assert [(e.path, e.code) for e in caught.value.errors] == [("answers.q", "required")]


def test_texts_and_passages_come_apart_from_plain_answers():
    questions = [
        question("boolean", key="ok"),
        question("text", key="why"),
        question("span", key="where"),
    ]
    later = {**SPAN, "start": 6, "end": 9}
    checked = check_answers(questions, {"ok": True, "why": "because", "where": [later, SPAN]})
    assert checked.plain == {"ok": True}
    assert checked.texts == {"why": "because", "where": [SPAN, later]}


def test_every_wrong_answer_is_named_at_once():
    questions = [question("boolean", key="one"), question("scale", SCALE, key="two")]
    with pytest.raises(InvalidInput) as caught:
        check_answers(questions, {"two": 9, "three": 1})
    assert [(error.path, error.code) for error in caught.value.errors] == [
        ("answers.three", "unknown_question"),
        ("answers.one", "required"),
        ("answers.two", "scale"),
    ]


@pytest.mark.parametrize("answers", [None, [], "yes", 3])
def test_answers_are_an_object(answers):
    with pytest.raises(InvalidInput):
        check_answers([question("boolean")], answers)


@given(st.permutations(["a", "b", "1"]), st.integers(0, 3))
def test_a_multichoice_answer_is_a_set(order, n):
    asked = [question("multichoice", OPTIONS)]
    one = check_answers(asked, {"q": order[:n]})
    other = check_answers(asked, {"q": sorted(order[:n])})
    assert one == other


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(
    st.sampled_from(["boolean", "choice", "multichoice", "scale", "number", "text", "span"]),
    _JSON,
)
def test_whatever_comes_is_answered_or_refused_and_a_checked_answer_checks_again(kind, answer):
    options = {"choice": OPTIONS, "multichoice": OPTIONS, "scale": SCALE}.get(kind)
    asked = [question(kind, options, required=False)]
    try:
        checked = check_answers(asked, {"q": answer})
    except InvalidInput:
        return
    assert check_answers(asked, {**checked.plain, **checked.texts}) == checked
