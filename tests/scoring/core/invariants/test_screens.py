"""What a batch settles by arrays is what each record's own atoms say."""

import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.core.invariants.columns import (
    MAX_BATCH_CHARS,
    MAX_CHARS,
    MAX_RECORDS,
    Batch,
)
from scoring.core.invariants.engine import InvariantSet
from scoring.core.invariants.folding import fold, folds_by_case, is_western
from scoring.core.invariants.packs import load_starter
from scoring.core.invariants.parse import parse_condition, parse_invariant
from scoring.core.invariants.patterns import Prefilter, Wake
from scoring.core.invariants.record import RecordView
from scoring.core.invariants.screens import screen_condition
from scoring.core.invariants.scripts import script_share

STARTER = InvariantSet.compile(load_starter())
ROOT = Path(__file__).resolve().parents[4]
SHARED = Path(os.environ.get("OVERSIGHT_SHARED_DATA", ROOT.parent / "shared" / "data"))
EXAMPLE = SHARED / "example" / "example_records.ndjson.gz"

LEAVES = [
    {"check": "length", "min": 3, "max": 12},
    {"check": "length", "unit": "lines", "max": 2},
    {"check": "length", "unit": "words", "max": 4},
    {"check": "regex", "pattern": "[αb\\d]"},
    {"check": "regex", "pattern": "[^a-z\\s]"},
    {"check": "regex", "pattern": "[A-C]", "ignore_case": True},
    {"check": "regex", "pattern": "[ab]+c"},
    {"check": "regex", "pattern": "[a]", "min_count": 3},
    {"check": "invisible"},
    {"check": "invisible", "kinds": ["zero_width"]},
    {"check": "mixed_script"},
    {"check": "script", "scripts": ["latin"], "min": 0.6, "min_letters": 1},
    {"check": "script", "scripts": ["greek"], "min": 0.6, "min_letters": 1},
    *(
        {"check": "repetition", "of": "ngrams", "n": n, "max_share": share, "min_size": 2}
        for n, share in ((1, 0.3), (2, 0.0), (3, 0.5), (4, 0.25), (5, 0.5))
    ),
    {"check": "repetition", "of": "lines", "max_share": 0.4, "min_size": 2},
    {"check": "repetition", "of": "bytes", "max_share": 0.3, "min_size": 20},
    {"check": "overlap", "with": "system", "run_words": 3},
    {"check": "overlap", "with": "input", "run_words": 5},
    {"check": "overlap", "with": "last_user", "min_share": 0.5, "n": 1, "min_words": 1},
    {"check": "overlap", "with": "last_user", "min_share": 0.7, "n": 2, "min_words": 3},
    {"check": "overlap", "with": "system", "min_share": 1.0, "n": 4, "min_words": 1},
    {"check": "repetition", "max_share": 0.2, "min_size": 2, "in": "input"},
]
TREES = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda items: {"all": items})
        | st.lists(inner, min_size=1, max_size=3).map(lambda items: {"none": items})
        | st.lists(inner, min_size=1, max_size=3).map(lambda items: {"any": items})
        | st.tuples(inner, inner).map(lambda pair: {"if": pair[0], "then": pair[1]})
        | inner.map(lambda item: {"for_regions": ["EU"], "then": item})
    ),
    max_leaves=5,
)
# Words that fold together, that begin alike, and one letter that folds to four words.
WORDS = st.sampled_from(
    [
        *("a", "b", "A", "Ａ", "c1", "internationally", "international", "naïve", "NAÏVE"),
        *("’s", "—", "é", "É", "ß", "µ", "ˆ", "e\u0301", "한", "ᄒ", "ᅡ", "don’t"),
        *("\ufdfa", "паypal", "α", "\u200b", "x\u00ady", "\x07", "…", "\ud800", "7"),
    ]
)
GAPS = st.sampled_from([" ", "  ", "\n", "\n\n", ", ", "-", " \n ", "\t"])
TEXTS = st.lists(st.tuples(WORDS, GAPS), max_size=14).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
) | st.tuples(WORDS, st.integers(1, 30)).map(lambda pair: (pair[0] + " ") * pair[1])
LONG = st.sampled_from(["b " * MAX_CHARS, "a b c\n" * 20_000, "x" * (MAX_CHARS + 1)])
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant"]), "content": TEXTS}
    ),
    max_size=3,
)
RECORDS = st.fixed_dictionaries(
    {
        "input": TEXTS | MESSAGES,
        "output": TEXTS | TEXTS | TEXTS | LONG,
        "context": st.sampled_from([{}, {"region": "EU"}]),
    }
)
BATCHES = st.lists(RECORDS, min_size=1, max_size=8)


def compiled(tree):
    frame = {"key": "k", "title": "t", "clause": "c", "severity": "low", "condition": tree}
    return InvariantSet.compile([parse_invariant(frame)])


def repeated(records):
    """Enough of them that arrays are made."""
    return (records * 12)[: max(12, len(records))]


@given(TREES, BATCHES)
@settings(max_examples=300, deadline=None)
def test_batch_is_evaluate_of_each(tree, records):
    chosen, records = compiled(tree), repeated(records)
    assert chosen.evaluate_batch(records) == [chosen.evaluate(record) for record in records]


@given(BATCHES)
@settings(max_examples=60, deadline=None)
def test_batch_is_evaluate_of_each_for_the_packs(records):
    records = repeated(records)
    assert STARTER.evaluate_batch(records) == [STARTER.evaluate(record) for record in records]


@pytest.mark.skipif(not EXAMPLE.exists(), reason="shared example data is not there")
def test_batch_is_evaluate_of_each_on_real_records():
    with gzip.open(EXAMPLE, "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in file][:1500]
    found = STARTER.evaluate_batch(records)
    assert found == [STARTER.evaluate(record) for record in records]
    assert any(found)


def test_long_texts_are_settled_in_smaller_batches():
    """Twice `MAX_BATCH_CHARS` in one call, loops and leaks among them."""
    prose = " ".join(f"word{i}" for i in range(900))[:6_000]
    outputs = [prose, "loop the loop " * 400, "You are a bank's assistant and say so at all times."]
    records = [
        {"input": [{"role": "system", "content": outputs[2] * 20}], "output": outputs[i % 3]}
        for i in range(3 * MAX_BATCH_CHARS // 10_000)
    ]
    views = [RecordView(record) for record in records]
    assert Batch(views).chars > MAX_BATCH_CHARS
    found = STARTER.evaluate_batch(records)
    assert found == [STARTER.evaluate(record) for record in records]
    assert {v.key for v in found[1]} >= {"conversation.word_loop"}
    assert {v.key for v in found[2]} >= {"conversation.system_leak"}


@given(st.lists(st.sampled_from(["", "pass", "word", "my Password: x", "é", "hi", "{{a}}"])))
def test_short_texts_asked_together_wake_what_each_wakes(texts):
    wakes = [Wake("password", True), Wake("[a-z]{2}"), Wake("{{"), Wake("wordmy")]
    prefilter = Prefilter(wakes)
    data = [text.encode() for text in texts]
    assert [set(found) for found in prefilter.sweep(data)] == [
        set(prefilter.sweep([one])[0]) for one in data
    ]


@given(TEXTS | st.text(max_size=20))
@settings(max_examples=500, deadline=None)
def test_folding_by_case_is_folding(text):
    data = text.encode("utf-8", "replace")
    if folds_by_case(data):
        assert data.lower() == fold(text).encode("utf-8", "replace")


def test_prose_folds_by_case_and_is_western():
    for text in ("It’s “fine” — really.", "naïve café", "plain"):
        assert folds_by_case(text.encode())
        assert is_western(text)
    for text in ("É", "ß", "e\u0301", "½", "ｆ", "so\u00adft"):
        assert not folds_by_case(text.encode())


def test_western_letters_are_latin_and_visible():
    for code in range(0x250):
        char = chr(code)
        if is_western(char) and char.isalpha():
            assert script_share(char, ("latin",)) == (1.0, 1)
    assert not is_western("so\u00adft")
    assert not is_western("\u200b")
    assert not is_western("\x85")


SETTLED = [
    ({"none": [{"check": "repetition", "n": 4, "min_size": 8}]}, "some words that say no thing {}"),
    ({"none": [{"check": "overlap", "with": "system", "run_words": 5}]}, "new words {} here now"),
    ({"check": "regex", "pattern": "[\\pL\\pN]"}, "{}"),
    ({"none": [{"check": "repetition", "of": "lines", "min_size": 3}]}, "a {}\nb c\nd\ne {}"),
    ({"none": [{"check": "mixed_script"}]}, "plain {}"),
]


@pytest.mark.parametrize(("tree", "text"), SETTLED)
def test_plain_texts_are_settled_without_their_atoms(tree, text):
    system = {"role": "system", "content": "be kind to all people who ask for help"}
    records = [
        {"input": [system], "output": text.replace("{}", str(index))}
        for index in range(MAX_RECORDS)
    ]
    batch = Batch([RecordView(record) for record in records])
    settled = screen_condition(parse_condition(tree))(batch)
    assert settled.true[1:].all()
    assert not settled.false.any()


MESSAGE = st.sampled_from(
    [
        {"role": "user", "content": "a"},
        {"role": "system", "content": "b"},
        {"role": "developer", "content": "c"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": "d"}, {"type": "text", "text": "e"}]},
        {"role": "user", "content": None},
        {"role": ["user"], "content": "f"},
        {"content": "g"},
        "h",
        None,
    ]
)


@given(st.lists(MESSAGE, max_size=4) | st.sampled_from(["text", "", None, 7, {"a": 1}]))
def test_the_short_way_to_a_text_is_the_long_one(given_input):
    record = {"input": given_input, "output": "z"}
    said = RecordView(record).said()
    long = tuple(RecordView(record).view(t).text for t in ("input", "last_user", "system"))
    assert said is None or said == long
    batch = Batch([RecordView(record)])
    assert batch.column("last_user").chars.tolist() == [len(long[1])]


def test_a_batch_has_a_largest_size():
    with pytest.raises(ValueError, match="at most"):
        Batch([RecordView({"input": "", "output": ""})] * (MAX_RECORDS + 1))
