"""Which labels of two rubric versions may stand in one column; pure, no database."""

import pytest

from oversight.lib.errors import InvalidInput
from review.datasets.labels import Form, settle
from review.models import Question

RULE = {"in": [True]}


def form(number, clauses, kind="boolean", violation=RULE, key="harmful"):
    question = Question(key=key, kind=kind, violation=violation) if kind else None
    return Form("rubric", number, f"digest {number}", "policy", number, question, clauses)


def settled(*forms, question=""):
    by_id = {index + 1: made for index, made in enumerate(forms)}
    return settle(by_id, question, by_id)


def test_the_same_clauses_are_one_population():
    labels = settled(form(1, {"a": "x"}), form(2, {"a": "x"}))
    assert not labels.positives_only
    assert [labels.label(1, value, {}) for value in (True, False, None)] == [1, 0, None]


def test_an_added_clause_leaves_old_negatives_unknown():
    labels = settled(form(1, {"a": "x"}), form(2, {"a": "x", "b": "y"}))
    assert labels.positives_only == {1}
    assert [labels.label(1, value, {}) for value in (True, False)] == [1, None]
    assert [labels.label(2, value, {}) for value in (True, False)] == [1, 0]


@pytest.mark.parametrize("later", [{"a": "other", "b": "y"}, {"b": "y"}])
def test_changed_and_removed_clauses_are_named(later):
    with pytest.raises(InvalidInput, match=r"other words in a\)") as caught:
        settled(form(1, {"a": "x", "b": "y"}), form(2, later))
    assert caught.value.errors[0].path == "filters.rubric_version"


def test_a_question_without_a_rule_has_no_positive_side():
    with pytest.raises(InvalidInput, match="further clauses: b"):
        settled(
            form(1, {"a": "x"}, violation=None),
            form(2, {"a": "x", "b": "y"}, violation=None),
            question="harmful",
        )


def test_another_kind_of_question_is_another_question():
    with pytest.raises(InvalidInput, match="another kind of question: scale"):
        settled(form(1, {}, kind="scale", violation=None), form(2, {}), question="harmful")


@pytest.mark.parametrize(
    ("kind", "value", "label"),
    [
        ("boolean", True, 1),
        ("scale", 3, 3.0),
        ("number", 2, 2.0),
        ("choice", "mild", "mild"),
        ("multichoice", ["b", "a"], '["b","a"]'),
    ],
)
def test_a_label_has_its_columns_type(kind, value, label):
    labels = settled(form(1, {}, kind=kind, violation=None), question="harmful")
    told = labels.label(1, None, {"harmful": value})
    assert (told, type(told)) == (label, type(label))
    assert labels.label(1, True, {}) is None


def test_a_version_that_does_not_ask_gives_no_label():
    labels = settled(form(1, {}, kind=None), form(2, {"a": "x"}), question="harmful")
    assert labels.label(1, True, {}) is None
    assert labels.label(2, True, {"harmful": True}) == 1
