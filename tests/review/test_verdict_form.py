"""A rubric version's form: shown, entered, read, and shown again as it was entered."""

from types import SimpleNamespace

import pytest

from oversight.lib.errors import FieldError, InvalidInput
from review import verdict_form
from review.answers import check_answers


def question(key="q", kind="boolean", options=None, required=True, violation=None, clauses=()):
    return SimpleNamespace(
        key=key,
        text="?",
        kind=kind,
        options=options,
        required=required,
        violation=violation,
        clauses=list(clauses),
    )


CHOICES = [{"value": "a", "label": "A"}, {"value": "b", "label": "B"}]
SCALE = {"min": 0, "max": 2, "labels": {"0": "none"}}
PARTS = {"input": "Tell me  about\nwarfarin.", "output": "Stop warfarin. Stop it now."}


@pytest.mark.parametrize(
    ("kind", "options", "entered", "answer"),
    [
        ("boolean", None, ["true"], True),
        ("boolean", None, ["false"], False),
        ("choice", CHOICES, ["b"], "b"),
        ("multichoice", CHOICES, ["a", "b"], ["a", "b"]),
        ("multichoice", CHOICES, [""], []),
        ("scale", SCALE, ["0"], 0),
        ("number", {}, ["2.5"], 2.5),
        ("number", {}, ["7"], 7),
        ("text", None, ["so\nso"], "so\nso"),
        (
            "span",
            None,
            ["[output 0-4] Stop"],
            [{"part": "output", "start": 0, "end": 4, "quote": "Stop"}],
        ),
    ],
)
def test_an_answer_survives_the_way_to_the_store_and_back(kind, options, entered, answer):
    asked = question(kind=kind, options=options)
    answers = verdict_form.read_answers([asked], {"q": entered}, PARTS)
    assert answers == {"q": answer}
    checked = check_answers([asked], answers)
    again = verdict_form.entered_before([asked], checked.plain, checked.texts)
    assert verdict_form.read_answers([asked], again, PARTS) == {"q": answer}


def test_nothing_entered_is_left_out_so_that_a_required_question_is_refused():
    questions = [question("b"), question("m", "multichoice", CHOICES), question("n", "number", {})]
    answers = verdict_form.read_answers(questions, {"n": [""]}, PARTS)
    assert answers == {}
    with pytest.raises(InvalidInput) as refused:
        check_answers(questions, answers)
    assert verdict_form.wrong_fields(refused.value) == dict.fromkeys(
        ("b", "m", "n"), "this question needs an answer"
    )


@pytest.mark.parametrize("text", ["nan", "1e999", "three", "0x10", "١"])
def test_what_is_no_plain_number_is_refused_or_read_alike(text):
    asked = question(kind="number", options={"min": 0, "max": 9})
    answers = verdict_form.read_answers([asked], {"q": [text]}, PARTS)
    if text == "١":  # Arabic-Indic one is a digit to Python as to its writer
        assert answers == {"q": 1}
    else:
        with pytest.raises(InvalidInput):
            check_answers([asked], answers)


@pytest.mark.parametrize(
    ("line", "span"),
    [
        ("Stop it", ("output", 15, 22)),
        ("warfarin", ("output", 5, 13)),  # outputs first: they are what is judged
        ("me about warfarin", ("input", 5, 23)),  # whatever the spaces
        ("[input 0-4] anything", ("input", 0, 4)),
    ],
)
def test_a_quote_finds_its_place(line, span):
    asked = question(kind="span")
    (found,) = verdict_form.read_answers([asked], {"q": [line]}, PARTS)["q"]
    assert (found["part"], found["start"], found["end"]) == span
    assert found["quote"] == PARTS[span[0]][span[1] : span[2]]


@pytest.mark.parametrize("line", ["not there", "[output 0-99] x", "[output.3 0-1]", "[output 4-4]"])
def test_a_passage_that_is_not_there_is_refused_at_its_question(line):
    with pytest.raises(InvalidInput) as refused:
        verdict_form.read_answers([question(kind="span")], {"q": [line]}, PARTS)
    assert [error.path for error in refused.value.errors] == ["answers.q"]


def test_wrong_fields_name_the_question_whatever_lies_below():
    error = InvalidInput(
        "x",
        errors=[
            FieldError("answers.where[1].start", "span", "whole numbers"),
            FieldError("note", "length", "too long"),
        ],
    )
    assert verdict_form.wrong_fields(error) == {"where": "whole numbers", "note": "too long"}


@pytest.mark.parametrize(
    ("kind", "options", "rule", "values"),
    [
        ("boolean", None, {"in": [True]}, ("false", "true")),
        ("boolean", None, {"in": [False]}, ("true", "false")),
        ("choice", CHOICES, {"in": ["a"]}, ("b", "a")),
        ("choice", CHOICES, {"in": ["a", "b"]}, ("", "")),
        ("choice", [*CHOICES, {"value": "c", "label": "C"}], {"in": ["a"]}, ("", "")),
        ("scale", SCALE, {"at_least": 1}, ("", "")),
        ("boolean", None, None, ("", "")),
    ],
)
def test_keys_for_a_binary_verdict_exist_only_where_two_answers_say_just_that(
    kind, options, rule, values
):
    (shown,) = verdict_form.show([question(kind=kind, options=options, violation=rule)], {}, {})
    assert (shown.no_value, shown.yes_value) == values


def test_a_refused_form_comes_back_as_it_was_sent():
    questions = [
        question("m", "multichoice", CHOICES),
        question("t", "text"),
        question("s", "scale", SCALE),
    ]
    entered = {"m": ["b"], "t": ["half a thou"], "s": ["2"]}
    shown = verdict_form.show(questions, entered, {"t": "no"})
    assert [[o.value for o in s.options if o.is_chosen] for s in shown] == [["b"], [], ["2"]]
    assert [s.entered for s in shown] == ["", "half a thou", ""]
    assert [s.error for s in shown] == ["", "no", ""]
    assert [o.label for o in shown[2].options] == ["0 · none", "1", "2"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("", None), ("x", None), ("nan", None), ("-1", None), ("12.5", 12.5)]
)
def test_seconds_are_kept_only_where_they_make_sense(text, seconds):
    assert verdict_form.read_seconds(text) == seconds
