"""Signed notes against ones that others have signed, and against whoever changes them."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oversight.lib.notes import NotGenuine, Signer, Verifier, open_note, public_key

# Made by another implementation (github.com/yaglo/signed_note, in its README).
FOREIGN_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
FOREIGN = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONn"
    "cAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
# RFC 8032, section 7.1, test 1.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
SIGNER = Signer("example.com/log", SEED)


def test_a_foreign_note_opens_and_only_unchanged():
    key = Verifier.parse(FOREIGN_KEY)
    assert str(key) == FOREIGN_KEY
    assert open_note(FOREIGN, [key]) == "This is an example message.\n"
    with pytest.raises(NotGenuine, match="does not hold"):
        open_note(FOREIGN.replace("example m", "Example m"), [key])


def test_a_note_is_made_as_the_specification_says():
    verifier = SIGNER.verifier
    assert verifier.public == PUBLIC
    key_id = hashlib.sha256(b"example.com/log\n\x01" + PUBLIC).digest()[:4]
    encoded = base64.b64encode(b"\x01" + PUBLIC).decode()
    assert str(verifier) == f"example.com/log+{key_id.hex()}+{encoded}"
    assert public_key(encoded) == PUBLIC
    note = SIGNER.sign("a\nb\n")
    head, line = note.split("\n\n")
    assert head == "a\nb"
    assert line.startswith("\u2014 example.com/log ")
    assert line.endswith("\n")
    signature = base64.b64decode(line.rsplit(" ", 1)[1])
    assert (signature[:4], len(signature)) == (key_id, 4 + 64)
    assert open_note(note, [verifier]) == "a\nb\n"


@given(st.integers(0), st.integers(0, 7))
def test_no_bit_of_a_note_can_be_turned(place, bit):
    note = SIGNER.sign("oversight/log\n7\ncm9vdA==\n").encode()
    turned = bytearray(note)
    turned[place % len(note)] ^= 1 << bit
    try:
        changed = turned.decode()
    except UnicodeDecodeError:
        return
    with pytest.raises(NotGenuine):  # spare bits at the end of base64 included
        open_note(changed, [SIGNER.verifier])


def test_others_may_add_their_signatures_and_nobody_else_counts():
    other = Signer("witness.example", bytes(32))
    note = SIGNER.sign("text\n")
    cosigned = note + other.sign("text\n").split("\n\n")[1]
    assert open_note(cosigned, [SIGNER.verifier]) == "text\n"
    assert open_note(cosigned, [other.verifier]) == "text\n"
    with pytest.raises(NotGenuine, match="not signed with a key that is trusted"):
        open_note(note, [other.verifier])
    # The same key under another name is another key.
    with pytest.raises(NotGenuine, match="not signed with a key that is trusted"):
        open_note(note, [Signer("example.com/other", SEED).verifier])
    broken = note + other.sign("another text\n").split("\n\n")[1]
    with pytest.raises(NotGenuine, match=r"witness\.example does not hold"):
        open_note(broken, [SIGNER.verifier, other.verifier])


@pytest.mark.parametrize("note", ["", "text\n", "text\n\n", "text\n\nno signature\n", "\n\n\n"])
def test_what_is_no_note_is_not_genuine(note):
    with pytest.raises(NotGenuine):
        open_note(note, [SIGNER.verifier])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/log",
        FOREIGN_KEY.replace("530d903a", "530d903b"),
        FOREIGN_KEY.replace("foo", "bar"),
        FOREIGN_KEY.replace("Aeky", "Beky"),
        FOREIGN_KEY[:-4],
        FOREIGN_KEY + "=",
        FOREIGN_KEY.replace("example.com/foo", "two words"),
    ],
)
def test_what_is_no_verifier_key_is_refused(text):
    with pytest.raises(ValueError, match=r"key|base64"):
        Verifier.parse(text)


def test_a_text_without_its_end_and_a_key_without_a_name_sign_nothing():
    for signer, text in [
        (SIGNER, "no end"),
        (Signer("", SEED), "x\n"),
        (Signer("a+b", SEED), "x\n"),
    ]:
        with pytest.raises(ValueError, match="newline"):
            signer.sign(text)
    assert SEED.hex() not in repr(SIGNER)
    assert repr(SEED) not in repr(SIGNER)
