"""One record as it stands on the wire: its types, and what the defaults are.

`scoring/intake/decoding.py` makes them from bytes.
"""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Key = Annotated[str, Meta(min_length=1, max_length=100)]
Label = Annotated[str, Meta(max_length=200)]
Template = Annotated[str, Meta(max_length=100_000)]
RoleFormat = Annotated[str, Meta(max_length=10_000)]


class Model(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    name: Name
    version: Name
    prompt_template: Template = ""
    role_format: RoleFormat = ""
    decoder: msgspec.Raw = msgspec.Raw(b"{}")


class TextPart(msgspec.Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    text: str


class ImagePart(msgspec.Struct, tag_field="type", tag="image", forbid_unknown_fields=True):
    media_type: Literal["image/png", "image/jpeg", "image/webp"]
    data: str


class Message(msgspec.Struct, forbid_unknown_fields=True):
    role: Annotated[str, Meta(min_length=1, max_length=64)]
    content: str | list[TextPart | ImagePart]


Content = str | Annotated[list[Message], Meta(min_length=1, max_length=2_000)]


class PackedFingerprint(msgspec.Struct, forbid_unknown_fields=True):
    dtype: Literal["float16", "float32"]
    data: bytes  # base64 on the wire


class Consent(msgspec.Struct, forbid_unknown_fields=True):
    review: bool | UnsetType = UNSET
    training: bool | UnsetType = UNSET
    basis: Label = ""


Signals = Annotated[dict[Key, float], Meta(max_length=64)]
Context = Annotated[dict[Key, str | int | float | bool], Meta(max_length=32)]
Fingerprint = Annotated[list[float], Meta(min_length=1, max_length=4096)] | (
    PackedFingerprint | None
)


class Record(msgspec.Struct, forbid_unknown_fields=True):
    external_id: Name
    occurred_at: Annotated[datetime, Meta(tz=True)]
    model: Model
    input: Content
    output: Content
    signals: Signals = {}
    fingerprint: Fingerprint = None
    context: Context = {}
    conversation_id: Label = ""
    subject_id: Label = ""
    consent: Consent = msgspec.field(default_factory=Consent)
