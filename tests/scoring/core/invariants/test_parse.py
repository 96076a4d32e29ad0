"""Documents of the invariant language: what is read, what is refused, and where."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.core.invariants import language as lang
from scoring.core.invariants.packs import load_starter
from scoring.core.invariants.parse import (
    dump_condition,
    dump_document,
    parse_condition,
    parse_document,
    parse_invariant,
)
from scoring.core.invariants.vocabulary import (
    MAX_DEPTH,
    MAX_NODES,
    PERSONAL_DATA,
    TARGETS,
    InvariantSyntaxError,
)

REGEX = {"check": "regex", "pattern": "a"}
REFUSED = [
    ([], "/", "must be an object"),
    ({}, "/", "must have one of the keys"),
    ({"check": "python", "code": "1"}, "/check", "must be one of"),
    ({"check": ["regex"]}, "/check", "must be one of"),
    ({"all": []}, "/all", "1 to"),
    ({"all": [REGEX, REGEX, {"check": "regex"}]}, "/all/2/pattern", "is required"),
    ({"all": [REGEX, {"check": "regex", "pattern": 3}]}, "/all/1/pattern", "must be a string"),
    ({"any": [REGEX], "all": [REGEX]}, "/any", "is not known here"),
    ({"not": {"not": {"check": "length"}}}, "/not/not", "needs min or max"),
    ({"if": REGEX}, "/then", "is required"),
    ({"for_regions": "EU", "then": REGEX}, "/for_regions", "must be a list"),
    ({"when_model": ["m"], "then": {"check": "regex"}}, "/then/pattern", "is required"),
    ({**REGEX, "flags": "i"}, "/flags", "is not known here"),
    ({**REGEX, "a/b~c": 1}, "/a~1b~0c", "is not known here"),
    ({**REGEX, "in": "outputs"}, "/in", "must be one of"),
    ({**REGEX, "ignore_case": 1}, "/ignore_case", "must be true or false"),
    ({**REGEX, "min_count": 0}, "/min_count", "must be in [1, 32]"),
    ({**REGEX, "min_count": True}, "/min_count", "must be a number"),
    ({**REGEX, "min_count": 1.5}, "/min_count", "whole"),
    ({**REGEX, "pattern": "a" * 1001}, "/pattern", "1 to 1000"),
    ({**REGEX, "pattern": "a\x00"}, "/pattern", "NUL"),
    ({**REGEX, "pattern": "\ud800"}, "/pattern", "surrogate"),
    ({"check": "number", "name": "x", "min": float("nan")}, "/min", "finite"),
    ({"check": "number", "name": "x", "min": 2, "max": 1}, "/", "min is greater"),
    ({"check": "terms", "terms": ["a", "a"]}, "/terms", "twice"),
    ({"check": "personal_data", "kinds": ["email", "name"]}, "/kinds/1", "must be one of"),
    ({"check": "urls"}, "/", "needs kinds"),
    ({"check": "overlap", "with": "system"}, "/", "exactly one"),
    ({"check": "overlap", "with": "output", "run_words": 5}, "/", "itself"),
    ({"check": "json", "schema": {"a": "x" * 40000}}, "/schema", "at most"),
    ({"check": "context", "name": "tier", "values": [None]}, "/values/0", "must be a number"),
]


@pytest.mark.parametrize(("document", "path", "message"), REFUSED)
def test_refusal_names_the_path(document, path, message):
    with pytest.raises(InvariantSyntaxError) as caught:
        parse_condition(document)
    assert caught.value.path == path
    assert message in caught.value.message
    assert str(caught.value).startswith(f"{path}: ")


def test_depth_and_size_are_capped():
    deep = REGEX
    for _ in range(MAX_DEPTH):
        deep = {"not": deep}
    with pytest.raises(InvariantSyntaxError, match="nested deeper"):
        parse_condition(deep)
    with pytest.raises(InvariantSyntaxError, match=f"more than {MAX_NODES}"):
        parse_condition({"all": [{"all": [REGEX] * 20}] * 20})
    bottomless = REGEX
    for _ in range(100_000):
        bottomless = {"not": bottomless}
    with pytest.raises(InvariantSyntaxError, match="nested deeper"):
        parse_condition(bottomless)


def _invariant(**changes):
    document = {
        "key": "k",
        "title": "t",
        "clause": "c",
        "severity": "low",
        "condition": REGEX,
    }
    return {**document, **changes}


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"effect": {"kind": "replace"}}, "/effect/text"),
        ({"effect": {"kind": "block", "text": "no"}}, "/effect/text"),
        ({"effect": "block"}, "/effect"),
        ({"severity": "urgent"}, "/severity"),
        ({"weight": -1}, "/weight"),
        ({"weight": float("inf")}, "/weight"),
        ({"regions": [1]}, "/regions/0"),
        ({"condition": {"all": [{"check": "regex"}]}}, "/condition/all/0/pattern"),
    ],
)
def test_invariant_fields_are_checked(changes, path):
    with pytest.raises(InvariantSyntaxError) as caught:
        parse_invariant(_invariant(**changes))
    assert caught.value.path == path


def test_document_reports_the_first_error_of_each_invariant():
    document = {
        "language": 1,
        "invariants": [_invariant(weight="1"), _invariant(), _invariant(severity="x")],
    }
    with pytest.raises(ExceptionGroup) as caught:
        parse_document(document)
    paths = [error.path for error in caught.value.exceptions]
    assert paths == ["/invariants/0/weight", "/invariants/2/severity"]


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"language": 2, "invariants": []}, "/language"),
        ({"language": True, "invariants": []}, "/language"),
        ({"invariants": []}, "/language"),
        ({"language": 1, "invariants": [_invariant(), _invariant()]}, "/invariants/1/key"),
    ],
)
def test_document_frame_is_checked(document, path):
    with pytest.raises(InvariantSyntaxError) as caught:
        parse_document(document)
    assert caught.value.path == path


def test_starter_packs_round_trip_through_json():
    starter = load_starter()
    assert parse_document(json.loads(json.dumps(dump_document(starter)))) == starter


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["check", "all", "any", "none", "not", "if", "then", "pattern", "in"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(_json)
@settings(max_examples=200, deadline=None)
def test_any_json_is_read_or_refused_with_a_path(document):
    try:
        outcome = parse_condition(document)
    except InvariantSyntaxError as error:
        outcome = error.path
    assert isinstance(outcome, lang.Condition) or outcome.startswith("/")


_targets = st.sampled_from(TARGETS)
_words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
_leaf = st.one_of(
    st.builds(
        lang.Regex,
        pattern=_words,
        ignore_case=st.booleans(),
        min_count=st.integers(1, 32),
        target=_targets,
    ),
    st.builds(
        lang.Terms,
        terms=st.lists(_words, min_size=1, max_size=4, unique=True).map(tuple),
        whole_words=st.booleans(),
        target=_targets,
    ),
    st.builds(
        lang.PersonalData,
        kinds=st.lists(st.sampled_from(PERSONAL_DATA), min_size=1, unique=True).map(tuple),
        target=_targets,
    ),
    st.builds(lang.Length, min=st.integers(0, 10), max=st.none() | st.integers(10, 10**9)),
    st.builds(lang.InRange, name=_words, max=st.floats(allow_nan=False, allow_infinity=False)),
    st.builds(lang.OpenFence, target=_targets),
)
_tree = st.recursive(
    _leaf,
    lambda inner: (
        st.builds(lang.All, children=st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(lang.Any_, children=st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(lang.Not, child=inner)
        | st.builds(lang.Implies, premise=inner, conclusion=inner)
        | st.builds(
            lang.WhenModel,
            models=st.lists(_words, min_size=1, max_size=3, unique=True).map(tuple),
            child=inner,
        )
    ),
    max_leaves=8,
)


@given(_tree)
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read_back(tree):
    assert parse_condition(json.loads(json.dumps(dump_condition(tree)))) == tree
