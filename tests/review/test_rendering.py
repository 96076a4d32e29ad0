"""Hostile text: every character is shown or named, and offsets still mean the raw text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review import rendering


def blocks_of(conversation: rendering.Conversation) -> list[rendering.Block]:
    return [
        block
        for turn in conversation.turns
        for piece in turn.pieces
        for block in (*piece.blocks, *piece.folded)
    ]


def shown(output: object, asked: object = "hi") -> rendering.Conversation:
    return rendering.conversation(json.dumps(asked), json.dumps(output))


def test_plain_strings_become_a_user_turn_and_an_output_turn():
    conversation = shown("fine")
    assert [(t.part, t.role, t.is_output) for t in conversation.turns] == [
        ("input", "user", False),
        ("output", "assistant", True),
    ]
    assert conversation.invisible == ()


def test_messages_keep_role_and_order_and_number_their_pieces():
    asked = [
        {"role": "system", "content": "be kind"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image", "media_type": "image/png", "data": "AAAA"},
                {"type": "video"},
            ],
        },
    ]
    conversation = shown([{"role": "assistant", "content": "ok"}], asked)
    assert [(t.part, t.role) for t in conversation.turns] == [
        ("input.0", "system"),
        ("input.1", "user"),
        ("output.0", "assistant"),
    ]
    kinds = [(p.index, p.kind) for t in conversation.turns for p in t.pieces]
    assert kinds == [(0, "text"), (1, "text"), (2, "image"), (3, "unreadable"), (4, "text")]
    stored = rendering.pieces_of(json.dumps(asked), json.dumps("x"))
    assert stored[2]["data"] == "AAAA"


@pytest.mark.parametrize(
    ("character", "label"),
    [
        ("\u202e", "U+202E RLO"),
        ("\u2066", "U+2066 LRI"),
        ("\u200b", "U+200B ZWSP"),
        ("\u061c", "U+061C ALM"),
        ("\ufeff", "U+FEFF BOM"),
        ("\x1b", "U+001B ESC"),
        ("\x85", "U+0085 NEL"),
        ("\u2028", "U+2028 LS"),
        ("\U000e0061", "U+E0061 TAG a"),
        ("\u3164", "U+3164 HANGUL FILLER"),
    ],
)
def test_an_invisible_character_becomes_a_named_token_and_is_counted(character, label):
    conversation = shown(f"a{character}b")
    (block,) = blocks_of(conversation)[1:]
    assert [s.text for s in block.segments] == ["a", f"⟦{label}⟧", "b"]
    assert [s.n_raw for s in block.segments] == [0, 1, 0]
    assert conversation.invisible == ((label, 1),)


@pytest.mark.parametrize(
    "kept", ["\u200d", "\u200c", "\ufe0f", "\n", "\t", "é", "שלום", "👩\u200d🔬"]
)
def test_what_scripts_and_emoji_need_is_left_alone(kept):
    assert shown(kept).invisible == ()


def test_runs_are_one_token_that_counts_and_cuts():
    run = "\u202e" * 5 + "\u200b" + "\u2066" + "\u2069" * 2
    (block,) = blocks_of(shown(run))[1:]
    (segment,) = block.segments
    assert segment.text == "⟦U+202E RLO ×5 · U+200B ZWSP · U+2066 LRI · 2 more⟧"
    assert segment.n_raw == 9


def test_a_flood_of_tokens_ends_in_replacement_characters_one_for_one():
    text = "a\u202e" * (rendering.MAX_TOKENS + 500)
    conversation = shown(text)
    segments = [s for b in blocks_of(conversation)[1:] for s in b.segments]
    assert sum(s.is_token for s in segments) == rendering.MAX_TOKENS
    assert sum(s.n_raw or len(s.text) for s in segments) == len(text)
    assert not any("\u202e" in s.text for s in segments)
    assert conversation.n_invisible == rendering.MAX_TOKENS + 500


def test_a_role_cannot_hide_characters_either():
    conversation = shown([{"role": "user\u202e", "content": "x"}])
    assert conversation.turns[1].role == "user⟦U+202E RLO⟧"


@given(
    st.text(alphabet=st.sampled_from("ab \n\u202e\u200b\u0301שx"), max_size=300), st.integers(1, 60)
)
def test_blocks_hold_the_whole_text_at_their_offsets(seed, times):
    text = seed * times
    blocks = blocks_of(shown(text))[1:]
    position = 0
    for block in blocks:
        assert block.start == position
        raw = text[position:]
        for segment in block.segments:
            n = segment.n_raw or len(segment.text)
            if not segment.is_token and "\N{REPLACEMENT CHARACTER}" not in segment.text:
                assert raw.startswith(segment.text)
            raw, position = raw[n:], position + n
    assert position == len(text)


@pytest.mark.parametrize(
    "text",
    ["x" * 1_000_000, "\n" * 300_000, "a\n\n" * 100_000, "e\u0301" * 200_000, "word " * 200_000],
    ids=["one line", "line breaks", "short paragraphs", "marks", "words"],
)
def test_a_huge_text_is_cut_into_few_bounded_blocks(text):
    blocks = blocks_of(shown(text))[1:]
    assert len(blocks) < 1_100
    assert max(sum(len(s.text) for s in b.segments) for b in blocks) <= rendering.MAX_BLOCK


def test_long_turns_fold_what_follows_and_keep_the_order():
    text = "".join(f"paragraph {i}\n\n" for i in range(200))
    (turn, _) = rendering.conversation(json.dumps(text), json.dumps("short")).turns
    (piece,) = turn.pieces
    assert piece.blocks
    assert piece.folded
    assert piece.blocks[-1].start < piece.folded[0].start


def test_long_tool_output_is_folded_whole_but_never_the_judged_output():
    lines = "\n".join("line" for _ in range(30))
    conversation = shown([{"role": "tool", "content": lines}], [{"role": "tool", "content": lines}])
    assert [turn.is_folded for turn in conversation.turns] == [True, False]


@pytest.mark.parametrize("stored", ["", "not json", '{"a": 1}', "[1, null]", '[{"content": 7}]'])
def test_whatever_is_stored_is_shown_or_empty_and_never_raises(stored):
    rendering.conversation(stored, stored)
    rendering.part_texts(stored, stored)
    rendering.pieces_of(stored, stored)


def test_part_texts_are_what_offsets_count():
    asked = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "ab"}, {"type": "text", "text": "cd"}],
        }
    ]
    conversation = shown("x", asked)
    assert rendering.part_texts(json.dumps(asked), json.dumps("x")) == {
        "input.0": "ab\ncd",
        "output": "x",
    }
    assert [b.start for b in blocks_of(conversation)] == [0, 3, 0]
