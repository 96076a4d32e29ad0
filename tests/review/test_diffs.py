"""Differences: what was spells the text before, what is spells the text after."""

from hypothesis import given
from hypothesis import strategies as st

from review.diffs import part_changes, word_diff

words = st.lists(st.sampled_from(["a", "b", "harm", " ", "\n", ".", "don't", "é"]), max_size=30)


@given(words, words)
def test_runs_spell_both_texts(left, right):
    before, after = "".join(left), "".join(right)
    runs = word_diff(before, after)
    assert "".join(run.text for run in runs if run.op != "insert") == before
    assert "".join(run.text for run in runs if run.op != "delete") == after


@given(words)
def test_the_same_text_has_no_difference(text):
    assert all(run.op == "equal" for run in word_diff("".join(text), "".join(text)))


def test_texts_with_little_in_common_are_told_one_after_the_other():
    runs = word_diff("the cat sat on the mat", "a dog ran off with the ball today")
    assert [run.op for run in runs] == ["delete", "insert"]


def test_long_texts_are_compared_by_lines():
    lines = [f"line {n} of many words here\n" for n in range(600)]
    runs = word_diff("".join(lines), "".join([*lines[:300], "new\n", *lines[300:]]))
    assert [run.text for run in runs if run.op == "insert"] == ["new\n"]


def test_parts_are_told_in_the_order_of_the_later_version():
    before = [{"key": k, "text": k, "severity": 1} for k in "abc"]
    after = [
        {"key": "d", "text": "d", "severity": 1},
        {"key": "c", "text": "c", "severity": 2},
        {"key": "a", "text": "a", "severity": 1},
    ]
    told = [(change.key, change.change) for change in part_changes(before, after, ["text"])]
    assert told == [("d", "added"), ("c", "changed"), ("a", "same"), ("b", "removed")]
