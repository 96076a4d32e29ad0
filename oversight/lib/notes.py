"""Signed notes (c2sp.org/signed-note): text that anybody can check who has a public key.

    text, ending in a newline
    (an empty line)
    — name base64(key id || signature)

The key id is the start of SHA-256(name || 0x0A || 0x01 || public key); the signature is Ed25519,
over the text with its last newline. Signatures of keys that nobody named are passed over, so that
others may add theirs to a note.
"""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SEED_BYTES = PUBLIC_BYTES = 32
_ED25519 = b"\x01"
_ID_BYTES = 4
_DASH = "\N{EM DASH} "


class NotGenuine(ValueError):
    """No key that is trusted has signed the note, or its signature does not hold."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key and the name it signs under."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        named = self.name.encode() + b"\n" + _ED25519 + self.public
        return hashlib.sha256(named).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        """The form that is handed on: `name+hash+base64`."""
        return f"{self.name}+{self.key_id.hex()}+{_encoded(_ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str) -> "Verifier":
        """The verifier key that a text stands for.

        Raises:
            ValueError: it is none of Ed25519, or its hash is not its own.
        """
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        verifier = cls(name, public_key(encoded))
        if not _is_name(name) or key_id != verifier.key_id.hex():
            raise ValueError("this is no verifier key of the form name+hash+base64")
        return verifier

    def holds(self, text: str, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key, by its seed (RFC 8032, section 5.1.5), and the name it signs under."""

    name: str
    seed: bytes

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.name, self._key().public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """The note over a text, which must end in a newline."""
        if not text.endswith("\n") or not _is_name(self.name):
            raise ValueError("a note's text ends in a newline, and its key has a name")
        signature = self.verifier.key_id + self._key().sign(text.encode())
        return f"{text}\n{_DASH}{self.name} {_encoded(signature)}\n"

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    def __repr__(self) -> str:
        return f"Signer(name={self.name!r})"  # the seed stays out of logs


def public_key(encoded: str) -> bytes:
    """The public key inside the last part of a verifier key.

    Raises:
        ValueError: it is none of Ed25519.
    """
    typed = _decoded(encoded)
    if len(typed) != len(_ED25519) + PUBLIC_BYTES or not typed.startswith(_ED25519):
        raise ValueError("this is no public key of Ed25519 with its type before it")
    return typed[len(_ED25519) :]


def open_note(note: str, verifiers: Iterable[Verifier]) -> str:
    """The text of a note that one of the keys has signed.

    Raises:
        NotGenuine: none has, or a signature that names one of them does not hold.
    """
    text, blank, signatures = note.rpartition("\n\n")
    text += "\n"
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    is_signed = False
    for line in signatures.removesuffix("\n").split("\n") if blank else []:
        name, signature = _signature(line)
        verifier = known.get((name, signature[:_ID_BYTES]))
        if verifier is None:
            continue
        if not verifier.holds(text, signature[_ID_BYTES:]):
            raise NotGenuine(f"the signature of {name} does not hold")
        is_signed = True
    if not is_signed:
        raise NotGenuine("it is not signed with a key that is trusted")
    return text


def _signature(line: str) -> tuple[str, bytes]:
    """The name of a signature line, and its key id and signature."""
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH):
        raise NotGenuine("a signature line does not begin as one")
    try:
        return name, _decoded(encoded)
    except ValueError:
        raise NotGenuine("a signature line cannot be read") from None


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(c.isspace() or c < " " for c in name)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str) -> bytes:
    """What base64 stands for, in its one spelling: no spare bits, no padding too much."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if _encoded(data) != text:
        raise ValueError("this is no base64")
    return data
