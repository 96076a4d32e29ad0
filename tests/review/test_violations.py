"""The violation rule, as tables."""

from types import SimpleNamespace

import pytest

from review.violations import normal_rule, rule_errors, violation_of

OPTIONS = [{"value": "none", "label": "None"}, {"value": "mild", "label": "Mild"}]
SCALE = {"min": 1, "max": 5}


def question(kind, options, rule, key="q"):
    return SimpleNamespace(key=key, kind=kind, options=options, violation=rule)


@pytest.mark.parametrize(
    ("kind", "options", "rule", "answer", "expected"),
    [
        ("boolean", None, {"in": [True]}, True, True),
        ("boolean", None, {"in": [True]}, False, False),
        ("boolean", None, {"in": [False]}, False, True),
        ("boolean", None, {"in": [True]}, None, None),
        ("choice", OPTIONS, {"in": ["mild"]}, "mild", True),
        ("choice", OPTIONS, {"in": ["mild"]}, "none", False),
        ("multichoice", OPTIONS, {"in": ["mild"]}, ["none", "mild"], True),
        ("multichoice", OPTIONS, {"in": ["mild"]}, ["none"], False),
        ("multichoice", OPTIONS, {"in": ["mild"]}, [], False),
        ("scale", SCALE, {"at_least": 4}, 4, True),
        ("scale", SCALE, {"at_least": 4}, 3, False),
        ("scale", SCALE, {"in": [1]}, 1, True),
        ("scale", SCALE, {"in": [1]}, 2, False),
        ("number", None, {"at_least": 0.5}, 0.5, True),
        ("number", None, {"at_least": 0.5}, 0, False),
    ],
)
def test_the_rule_decides(kind, options, rule, answer, expected):
    asked = question(kind, options, rule)
    assert list(rule_errors(asked, "violation")) == []
    assert violation_of([asked], {"q": answer}) is expected


def test_only_the_question_with_the_rule_decides():
    first = question("boolean", None, None, key="fluent")
    second = question("boolean", None, {"in": [True]}, key="harmful")
    assert violation_of([first, second], {"fluent": True, "harmful": False}) is False
    assert violation_of([first, second], {"fluent": True}) is None
    assert violation_of([first], {"fluent": True}) is None


@pytest.mark.parametrize(
    ("kind", "options", "rule", "path"),
    [
        ("boolean", None, {}, "v"),
        ("boolean", None, "yes", "v"),
        ("boolean", None, {"in": [True], "at_least": 1}, "v"),
        ("boolean", None, {"in": []}, "v.in"),
        ("boolean", None, {"in": True}, "v.in"),
        ("boolean", None, {"in": [1]}, "v.in[0]"),
        ("boolean", None, {"at_least": 1}, "v.at_least"),
        ("choice", OPTIONS, {"in": ["none", "grave"]}, "v.in[1]"),
        ("choice", OPTIONS, {"in": [{"value": "mild"}]}, "v.in[0]"),
        ("scale", SCALE, {"in": [6]}, "v.in[0]"),
        ("scale", SCALE, {"in": [True]}, "v.in[0]"),
        ("scale", SCALE, {"at_least": 6}, "v.at_least"),
        ("scale", SCALE, {"at_least": True}, "v.at_least"),
        ("number", None, {"at_least": 10**400}, "v.at_least"),
        ("number", None, {"in": [1]}, "v.in"),
        ("text", None, {"in": ["bad"]}, "v.in"),
        ("span", None, {"at_least": 1}, "v.at_least"),
    ],
)
def test_a_rule_that_cannot_decide_is_refused(kind, options, rule, path):
    assert [e.path for e in rule_errors(question(kind, options, rule), "v")] == [path]


def test_an_answer_alone_is_short_for_a_boolean_rule():
    assert normal_rule("boolean", True) == {"in": [True]}
    assert normal_rule("boolean", False) == {"in": [False]}
    assert normal_rule("choice", True) is True
    assert normal_rule("scale", {"at_least": 3}) == {"at_least": 3}
