"""What the content of a record comes to: its hash, its group, its texts, its images checked."""

import hashlib
import struct
from collections.abc import Iterator
from typing import Any

import msgspec

from scoring.intake import images
from scoring.intake.wire import ImagePart, Message, Record

_encoder = msgspec.json.Encoder(order="deterministic")
_LENGTHS = struct.Struct(">4Q")


def encode(value: Any) -> bytes:
    return _encoder.encode(value)


def check_images(record: Record) -> None:
    """Raise InvalidInput, with the part's path, unless every image is what it claims to be."""
    for field, content in (("input", record.input), ("output", record.output)):
        for path, part in _image_parts(content):
            images.decode(part.data, part.media_type, f"{field}{path}.data")


def _image_parts(content: str | list[Message]) -> Iterator[tuple[str, ImagePart]]:
    if isinstance(content, str):
        return
    for m, message in enumerate(content):
        if isinstance(message.content, str):
            continue
        for p, part in enumerate(message.content):
            if isinstance(part, ImagePart):
                yield f"[{m}].content[{p}]", part


def content_hash(
    record: Record,
    *,
    fingerprint: bytes | None,
    input_json: bytes,
    output_json: bytes,
    signals_json: bytes,
    context_json: bytes,
) -> bytes:
    """A 256-bit hash of what makes two records of one identity the same: all but consent.

    BLAKE2b, since many processors have no instructions for SHA-2 and take twice as long for it.

    Args:
        record: as decoded.
        fingerprint: as stored, so that a list and its base64 form are the same content.
        input_json, output_json, signals_json, context_json: as stored.
    """
    rest = encode(
        [
            record.model.name,
            record.model.version,
            record.model.prompt_template,
            record.model.role_format,
            record.model.decoder,
            msgspec.Raw(signals_json),
            msgspec.Raw(context_json),
            record.conversation_id,
            record.subject_id,
        ]
    )
    parts = (rest, input_json, output_json, fingerprint or b"")
    lengths = _LENGTHS.pack(*map(len, parts))
    return hashlib.blake2b(b"".join((lengths, *parts)), digest_size=32).digest()


def group_text(record: Record) -> str:
    """What a record's group is known by: the first user turn, else the conversation, else all.

    A prompt and every conversation that begins with it fall on one side of the held-out split.
    """
    if isinstance(record.input, list):
        first = next((m for m in record.input if m.role == "user"), record.input[0])
        return normalise(text_of(first.content))
    return normalise(record.conversation_id or record.input)


def text_of(content: str | list[Any]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.data if isinstance(part, ImagePart) else part.text for part in content)


def normalise(text: str) -> str:
    return " ".join(text.casefold().split())


def group_hash(key: bytes, text: str) -> bytes:
    """64 keyed bits that decide the side: below share·2⁶⁴ is held out."""
    return hashlib.blake2b(
        text.encode(), key=key, digest_size=8, person=b"oversight.group"
    ).digest()


def is_held_out(group: bytes, share: float) -> bool:
    return int.from_bytes(group, "big") < share * 2**64
