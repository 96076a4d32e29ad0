"""The compiled set: combinators, targets, spans, windows, and what the prefilter spares."""

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.core.invariants import language as lang
from scoring.core.invariants.engine import InvariantSet
from scoring.core.invariants.finding_atoms import _CATALOGUE, find_atom
from scoring.core.invariants.measuring_atoms import measure_atom
from scoring.core.invariants.packs import load_starter
from scoring.core.invariants.parse import parse_condition, parse_invariant
from scoring.core.invariants.record import HEAD_CHARS, SCAN_CHARS, RecordView, Span
from scoring.core.invariants.vocabulary import InvariantSyntaxError

STARTER = InvariantSet.compile(load_starter())


def compiled(condition, **changes):
    document = {
        "key": "k",
        "title": "t",
        "clause": "c",
        "severity": "low",
        "condition": condition,
        **changes,
    }
    return InvariantSet.compile([parse_invariant(document)])


def violations(condition, output="", **record):
    return compiled(condition).evaluate({"input": "", "output": output, **record})


def holds(condition, output="", **record):
    return not violations(condition, output, **record)


@functools.cache
def atom_of(predicate):
    return find_atom(predicate) or measure_atom(predicate)


def naive(condition, record):
    """Truth straight from the definition: no prefilter, nothing asleep, nothing remembered."""
    view = RecordView(record)
    match condition:
        case lang.Predicate():
            return atom_of(condition).test(view)
        case lang.All(children=children):
            return all(naive(child, record) for child in children)
        case lang.Any_(children=children):
            return any(naive(child, record) for child in children)
        case lang.Not(child=child):
            return not naive(child, record)
        case lang.Implies(premise=premise, conclusion=conclusion):
            return not naive(premise, record) or naive(conclusion, record)
    raise TypeError(condition)


A, B = ({"check": "regex", "pattern": word} for word in ("alpha", "beta"))
TRUTH = [
    ({"all": [A, B]}, {"alpha beta"}),
    ({"any": [A, B]}, {"alpha", "beta", "alpha beta"}),
    ({"none": [A, B]}, {""}),
    ({"not": A}, {"", "beta"}),
    ({"if": A, "then": B}, {"", "beta", "alpha beta"}),
    ({"not": {"if": A, "then": B}}, {"alpha"}),
    ({"all": [{"not": A}, {"not": {"not": B}}]}, {"beta"}),
]


@pytest.mark.parametrize(("condition", "satisfied"), TRUTH)
def test_truth_of_combinators(condition, satisfied):
    texts = {"", "alpha", "beta", "alpha beta"}
    assert {text for text in texts if holds(condition, text)} == satisfied


def test_region_and_model_guards():
    eu = {"for_regions": ["EU"], "then": {"not": A}}
    assert not holds(eu, "alpha", context={"region": "eu-de"})
    assert holds(eu, "alpha", context={"region": "EURO"})
    assert holds(eu, "alpha", context={"region": 7})
    model = {"when_model": ["bank-*", "chat@2"], "then": {"not": A}}
    assert not holds(model, "alpha", model={"name": "bank-v3", "version": "1"})
    assert not holds(model, "alpha", model={"name": "chat", "version": "2"})
    assert holds(model, "alpha", model={"name": "chat", "version": "21"})
    assert holds(model, "alpha")


MESSAGES = [
    {"role": "system", "content": "Be SYS."},
    {"role": "user", "content": "first QUESTION"},
    {"role": "assistant", "content": "an ANSWER"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "see "},
            {"type": "image", "data": "SYS", "media_type": "image/png"},
            {"type": "text", "text": "LAST part"},
        ],
    },
    {"role": "user"},
    "junk",
]


@pytest.mark.parametrize(
    ("target", "present"),
    [
        ("input", {"SYS", "QUESTION", "ANSWER", "LAST"}),
        ("last_user", {"LAST"}),
        ("system", {"SYS"}),
        ("output", {"OUT"}),
        ("all", {"SYS", "QUESTION", "ANSWER", "LAST", "OUT"}),
    ],
)
def test_targets_read_their_turns_only(target, present):
    words = {"SYS", "QUESTION", "ANSWER", "LAST", "OUT"}
    found = {
        word
        for word in words
        if holds({"check": "regex", "pattern": word, "in": target}, "OUT", input=MESSAGES)
    }
    assert found == present


def test_spans_lead_back_to_turn_and_part():
    condition = {"none": [{"check": "terms", "terms": ["last", "answer"], "in": "input"}]}
    (violation,) = violations(condition, "", input=MESSAGES)
    assert violation.spans == (Span("input", 2, None, 3, 9), Span("input", 3, 2, 0, 4))
    texts = [MESSAGES[2]["content"][3:9], MESSAGES[3]["content"][2]["text"][0:4]]
    assert texts == ["ANSWER", "LAST"]


def test_an_empty_match_inside_a_character_is_moved_to_its_start():
    (violation,) = violations({"none": [{"check": "regex", "pattern": "x*"}]}, "日本")
    assert {(span.start, span.end) for span in violation.spans} == {(0, 0), (1, 1), (2, 2)}


def test_a_span_over_two_parts_is_cut():
    output = [{"role": "assistant", "content": [{"text": "one two"}, {"text": "three four"}]}]
    (violation,) = violations({"none": [{"check": "regex", "pattern": r"two\sthree"}]}, output)
    assert violation.spans == (Span("output", 0, 0, 4, 7), Span("output", 0, 1, 0, 5))


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("naïve — the SECRET word", "SECRET"),
        ("日本 ｓｅｃｒｅｔ 語", "ｓｅｃｒｅｔ"),
        ("so se\u200bcr\u00adet, so", "se\u200bcr\u00adet"),
        ("Ｅ\u0301 é ﬁne secret", "secret"),
    ],
)
def test_terms_see_through_spelling_and_keep_offsets(text, quoted):
    (violation,) = violations({"none": [{"check": "terms", "terms": ["Secret"]}]}, text)
    (span,) = violation.spans
    assert text[span.start : span.end] == quoted


@pytest.mark.parametrize(
    ("terms", "text", "found"),
    [
        (["cat"], "concatenate", False),
        (["cat"], "cat_walk", False),
        (["cat"], "a cat.", True),
        (["état"], "l'ÉTAT major", True),
        (["état"], "étatique", False),
        (["cat", "cat food"], "cat foods", True),
        (["ignore previous"], "IGNORE \n previous", True),
        (["密码"], "我的密码是", True),
        (["c++"], "in c++17", True),
        (["straße"], "STRASSE", True),
    ],
)
def test_whole_words(terms, text, found):
    assert holds({"check": "terms", "terms": terms}, text) is found


def test_adjacent_terms_are_counted_each():
    counted = {"check": "terms", "terms": ["foo"], "min_count": 3}
    assert holds(counted, "foo foo foo")
    assert not holds(counted, "foo foo food")
    every = {"check": "terms", "terms": ["foo", "bar"], "require": "all"}
    assert holds(every, "bar, foo")
    assert not holds(every, "bar, bar")


@pytest.mark.parametrize("pattern", ["(a)\\1", "(?=a)b", "a{2000}", "(?:a{900}){9}", "("])
def test_refused_patterns_name_their_path(pattern):
    with pytest.raises(InvariantSyntaxError) as caught:
        compiled({"all": [A, {"check": "regex", "pattern": pattern}]})
    assert caught.value.path == "/condition/all/1/pattern"


@pytest.mark.parametrize("pattern", [r"(x+x+)+y", r"(a|a)*b", r"(.*)*,(.*)*c", r"^(\w+\s?)*$"])
def test_patterns_that_stall_backtracking_are_run_to_their_end(pattern):
    assert isinstance(holds({"check": "regex", "pattern": pattern}, "xa" * 30_000 + "!"), bool)


def test_long_texts_are_scanned_at_head_and_tail():
    condition = {"none": [{"check": "regex", "pattern": "needle"}]}
    size = 1_000_000
    assert not holds(condition, "needle" + "x" * size)
    assert not holds(condition, "é" * (HEAD_CHARS - 6) + "needle" + "x" * size)
    assert not holds(condition, "x" * size + "needle")
    assert holds(condition, "x" * HEAD_CHARS + "needle" + "x" * size)
    assert holds(condition, "x" * (HEAD_CHARS - 3) + "needle" + "x" * size)
    (violation,) = violations(condition, "x" * size + "needle")
    assert violation.spans == (Span("output", None, None, size, size + 6),)
    assert "truncated" in violation.detail


def test_lengths_are_exact_beyond_the_scanned_windows():
    text = "ab \n" * SCAN_CHARS
    assert holds({"check": "length", "unit": "words", "min": SCAN_CHARS, "max": SCAN_CHARS}, text)
    assert holds({"check": "length", "unit": "lines", "min": SCAN_CHARS + 1}, text)
    assert holds({"check": "length", "min": 4 * SCAN_CHARS, "max": 4 * SCAN_CHARS}, text)


HOSTILE = [
    "1 " * 60_000,
    "4111-" * 30_000,
    "a@" * 60_000,
    "http://" * 20_000,
    "eyJ" * 40_000,
    "```\n" * 40_000,
    "\u200b" * 120_000,
    "pаy" * 40_000,
    "[" * 120_000,
    "password=" * 14_000,
    "I can't " * 15_000,
    "\ud800" * 70_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_go_through_all_packs(text):
    for violation in STARTER.evaluate({"input": text, "output": text}):
        assert all(0 <= span.start <= span.end <= len(text) for span in violation.spans)
        assert text[:12] not in violation.detail


def test_details_quote_nothing_of_the_record():
    record = {"input": "", "output": "Mail zoe.q@contoso-labs.com, SSN 536-90-4399."}
    found = STARTER.evaluate({**record, "context": {"region": "US"}})
    assert {"privacy.email", "region.us.national_ids"} <= {item.key for item in found}
    assert not any("zoe" in item.detail or "4399" in item.detail for item in found)


def test_batch_is_evaluate_of_each():
    records = [{"input": "hi", "output": text} for text in ("ok", "verify=False", "a@b.com fuck")]
    assert STARTER.evaluate_batch(records) == [STARTER.evaluate(record) for record in records]


def test_keys_must_differ():
    invariant = compiled(A).invariants[0]
    with pytest.raises(InvariantSyntaxError, match="share a key"):
        InvariantSet.compile([invariant, invariant])


_FRAGMENTS = st.sampled_from(
    [
        *(
            "alpha",
            "beta",
            "gamma",
            "ALPHA",
            "ａｌｐｈａ",
            "é",
            " ",
            "\n",
            "1",
            "2468",
            "-",
            "@",
            ".com",
        ),
        *("4111111111111111", "x@acme.io", "http://1.2.3.44/", "```", "eval(x)", "ａ", "\u200b"),
        *("verify=False", "536-90-4399", "DOB 1/2/87", "DE89370400440532013000", "fe80::1", ":"),
        *("2a03:face::b", "3C-22-FB-9A-14-7E", "RSSMRA85T10A562S", "born 3 May 1991", "[INST]"),
    ]
)
_texts = st.lists(_FRAGMENTS, max_size=8).map(" ".join) | st.lists(_FRAGMENTS, max_size=8).map(
    "".join
)
_LEAVES = [
    A,
    B,
    {"check": "regex", "pattern": "x*"},
    {"check": "regex", "pattern": "[0-9]{4}"},
    {"check": "regex", "pattern": "ALPHA|é", "ignore_case": True},
    {"check": "terms", "terms": ["alpha", "gamma"]},
    {"check": "terms", "terms": ["alpha", "beta"], "require": "all", "in": "input"},
    {"check": "personal_data", "kinds": ["email", "payment_card", "us_ssn", "ip_address"]},
    {"check": "personal_data", "kinds": ["iban", "mac_address", "it_codice_fiscale"]},
    {"check": "personal_data", "kinds": ["date_of_birth"]},
    {"check": "code", "kinds": ["dynamic_eval", "tls_verification_disabled"]},
    {"check": "urls", "kinds": ["ip_literal"]},
    {"check": "open_fence"},
    {"check": "invisible"},
    {"check": "mixed_script"},
    {"check": "length", "max": 20},
]
_trees = st.recursive(
    st.sampled_from(_LEAVES),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda items: {"all": items})
        | st.lists(inner, min_size=1, max_size=3).map(lambda items: {"none": items})
        | st.lists(inner, min_size=1, max_size=3).map(lambda items: {"any": items})
        | st.tuples(inner, inner).map(lambda pair: {"if": pair[0], "then": pair[1]})
    ),
    max_leaves=6,
)


@given(_trees, st.lists(_texts, min_size=1, max_size=6), _texts)
@settings(max_examples=120, deadline=None)
def test_prefilter_changes_no_truth(tree, outputs, prompt):
    compiled_set, condition = compiled(tree), parse_condition(tree)
    for output in outputs:
        record = {"input": prompt, "output": output}
        assert (not compiled_set.evaluate(record)) == naive(condition, record)


@given(_texts, _texts)
@settings(max_examples=60, deadline=None)
def test_prefilter_changes_no_truth_of_the_packs(prompt, output):
    record = {"input": prompt, "output": output}
    expected = [
        item.key
        for item in STARTER.invariants
        if not item.regions and not naive(item.condition, record)
    ]
    assert [item.key for item in STARTER.evaluate(record)] == expected


SHAPES = {
    "secrets": (
        "the key AKIA" + "Q" * 16 + " and password = 'aB3$kf92Lx7!mQp0z'",
        "postgres://admin:hunter2secret@db.internal:5432/prod",
        "glpat-" + "a1" * 12 + "\u00e9",
        "SECRET_TOKEN: zK8fLq02mXw7Rt5y",
        "nothing of the kind",
    ),
    "personal_data": (
        "call +44 20 7946 0958 or write to jane@example.org, born 3 May 1990",
        "DE89 3704 0044 0532 0130 00, 4111 1111 1111 1111, 10.0.0.1",
        "the invoice 20250101 of 12 pages",
    ),
}


@pytest.mark.parametrize("check", SHAPES)
def test_a_catalogue_of_all_kinds_finds_what_each_kind_finds_alone(check):
    """Many kinds are sorted by their literals before any is tried; one or two are not."""
    kinds = sorted(kind for of, kind in _CATALOGUE if of == check)
    assert len(kinds) >= 4
    for text in SHAPES[check]:
        view = RecordView({"input": "", "output": text})

        def spans_of(chosen, view=view):
            atom = find_atom(parse_condition({"check": check, "kinds": chosen}))
            return set(atom.explain(view, True).spans) if atom.test(view) else set()

        alone = [spans_of([kind]) for kind in kinds]
        assert spans_of(kinds) == set().union(*alone), text
