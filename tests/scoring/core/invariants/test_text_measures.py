"""Folding, scripts, repetition, overlap and links against naive definitions."""

import itertools

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.core.invariants import urls
from scoring.core.invariants.fences import fenced_ranges, open_fence
from scoring.core.invariants.folding import fold, fold_offsets
from scoring.core.invariants.overlap import WordIndex
from scoring.core.invariants.record import Window
from scoring.core.invariants.repetition import ngrams_repeat, repeated_ngram_share
from scoring.core.invariants.scripts import mixed_script_words, script_counts, script_share
from scoring.core.invariants.vocabulary import SCRIPTS, URL_KINDS

_unicode = st.text(
    st.characters(codec="utf-8") | st.sampled_from("e\u0301ﬁ\u200bＡ\u1100\u1161가\u09c7\u09beｶﾞßİ"),
    max_size=12,
)


@given(_unicode)
@settings(max_examples=300, deadline=None)
def test_offsets_rebuild_the_folded_text(text):
    offsets = fold_offsets(text)
    folded = fold(text)
    assert len(offsets) == len(folded) + 1
    assert offsets == sorted(offsets)
    starts = [*dict.fromkeys(offsets)]
    pieces = [fold(text[a:b]) for a, b in itertools.pairwise(starts)]
    assert "".join(pieces) == folded


@given(_unicode)
@settings(max_examples=100, deadline=None)
def test_folding_twice_changes_nothing(text):
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_agree_with_the_unicode_property(name):
    pattern = re2.compile(rf"\p{{{name.capitalize()}}}")
    letters = [chr(c) for c in range(0x3400) if chr(c).isalpha()]
    letters += [chr(c) for c in range(0x3400, 0x20100, 37) if chr(c).isalpha()]
    wanted = {char for char in letters if pattern.search(char)}
    counted = {char for char in letters if script_counts(char)[SCRIPTS.index(name)]}
    # Blocks are not the property: a few letters of a block belong to several scripts.
    assert len(wanted ^ counted) <= max(4, 0.03 * len(wanted))


def test_script_share():
    assert script_share("hello мир", ("latin",)) == (5 / 8, 8)
    assert script_share("hello 123", ("latin",)) == (1.0, 5)
    assert script_share("123 …", ("latin",)) == (0.0, 0)
    assert mixed_script_words("the pаypal page", 5) == [(4, 10)]
    assert mixed_script_words("Δt and μm of русский text", 5) == []


_tokens = st.lists(st.sampled_from([b"a", b"b", b"c", b"d"]), max_size=30)


@given(_tokens, st.integers(1, 4), st.floats(0, 1))
def test_ngram_gate_changes_nothing(words, n, share):
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    naive = 1 - len(set(grams)) / len(grams) if grams else 0.0
    assert repeated_ngram_share(words, n) == pytest.approx(naive)
    repeats = ngrams_repeat(words, len(set(words)), n, share)
    assert repeats == (repeated_ngram_share(words, n) > share)


@given(_tokens, _tokens, st.integers(3, 6))
@settings(max_examples=300)
def test_first_run_is_the_first_common_run(source, words, n):
    known = {tuple(source[i : i + n]) for i in range(len(source) - n + 1)}
    runs = [i for i in range(len(words) - n + 1) if tuple(words[i : i + n]) in known]
    assert WordIndex(source, n).first_run(words) == (runs[0] if runs else None)


@given(_tokens, _tokens, st.integers(1, 4), st.floats(0.01, 1))
def test_shared_ngrams(source, words, n, share):
    known = {tuple(source[i : i + n]) for i in range(len(source) - n + 1)}
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    naive = sum(gram in known for gram in grams) / len(grams) if grams else 0.0
    index = WordIndex(source, n)
    assert index.shared(words) == pytest.approx(naive)
    assert index.shares(words, share) == (bool(grams) and index.shared(words) >= share)


def test_words_of_a_window():
    assert Window(0, "It's  A-OK, Zoë!").words == [b"it", b"s", b"a", b"ok", "zoë".encode()]
    assert Window(0, "It's  A-OK!").words == [b"it", b"s", b"a", b"ok"]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("https://example.com/a.", set()),
        ("http://example.com", {"plain_http"}),
        ("https://2130706433/x", {"ip_literal"}),
        ("https://0x7f.1/", {"ip_literal"}),
        ("https://[2001:db8::1]:8443/", {"ip_literal", "odd_port"}),
        ("https://xn--pypal-4ve.com", {"punycode"}),
        ("https://pаypal.com", {"punycode"}),
        ("https://bank.com@evil.io/", {"credentials"}),
        ("https://user:pw@host.io:444", {"credentials", "odd_port"}),
        ("https://host.io/path@here", set()),
        ("https://host.io:443/", set()),
        ("www.bit.ly/abc is not bit.ly", set()),
        ("https://bit.ly/abc", {"shortener"}),
        ("javascript:alert(1)", {"dangerous_scheme"}),
        ("![x](https://a.io/b.png)", {"markdown_image"}),
    ],
)
def test_kinds_of_links(text, kinds):
    found = set()
    for kind in set(URL_KINDS) - {"any"}:
        rule = urls.LinkRule(frozenset({kind}), frozenset(), frozenset())
        if rule.spans(text.encode(), 8):
            found.add(kind)
    assert found == kinds


@pytest.mark.parametrize(
    ("host", "inside"),
    [("acme.io", True), ("docs.acme.io", True), ("notacme.io", False), ("acme.io.evil.com", False)],
)
def test_host_lists_go_by_labels(host, inside):
    assert urls.host_in(host, frozenset({"acme.io"})) is inside
    data = f"see https://{host}/x, ok".encode()
    denied = urls.LinkRule(frozenset(), frozenset({"acme.io"}), frozenset())
    allowed = urls.LinkRule(frozenset(), frozenset(), frozenset({"acme.io"}))
    assert bool(denied.spans(data, 1)) is inside
    assert bool(allowed.spans(data, 1)) is not inside


@pytest.mark.parametrize(
    ("text", "open_at"),
    [
        ("a\n```\nb\n```\n", None),
        ("```py\nb", (0, 3)),
        ("a `x` ```y``` b", None),
        ("~~~\n```\n~~~\n", None),
        ("````\n```\n", (0, 4)),
        ("```\n```\n```", (8, 11)),
    ],
)
def test_open_fence(text, open_at):
    assert open_fence(text) == open_at


def test_inside_of_fences():
    data = b"x\n```py\nin\n```\nout\n~~~\nin too"
    assert [data[a:b] for a, b in fenced_ranges(data)] == [b"\nin\n", b"\nin too"]
