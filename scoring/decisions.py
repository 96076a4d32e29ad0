"""A decision: what a scorer made of one record, with its reasons."""

from collections.abc import Sequence
from typing import Any

import msgspec

from scoring.models import Action


class ToldReason(msgspec.Struct, frozen=True, gc=False):
    """One line of an explanation, as it is stored and answered."""

    kind: str
    name: str
    contribution: float
    detail: str


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What was decided for one record, and why; what a duplicate is answered with again.

    reasons, intervention: JSON as it is stored and answered; nobody between reads it.
    """

    scorer_version: int
    raw: float
    score: float
    p_violation: float | None
    weight: float
    tier: int
    action: Action
    reasons: bytes = b"[]"
    intervention: bytes | None = None


_encoder = msgspec.json.Encoder()


def encode_reasons(reasons: Sequence[ToldReason]) -> bytes:
    return _encoder.encode(reasons)


def encode_intervention(kind: str, replacement: str | None) -> bytes:
    told: dict[str, Any] = {"kind": kind}
    if replacement is not None:
        told["replacement"] = replacement
    return _encoder.encode(told)
