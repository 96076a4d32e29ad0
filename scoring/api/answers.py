"""The answer to `POST records`, encoded in one pass; reasons go out as the JSON that was stored."""

import msgspec
from msgspec import UNSET, UnsetType

from scoring.models import Action
from scoring.services.incoming import Incoming
from scoring.services.ingest import Outcome


class _Error(msgspec.Struct):
    path: str
    code: str
    message: str


class _Result(msgspec.Struct):
    index: int
    external_id: str | None
    id: str | None
    status: str
    score: float | UnsetType = UNSET
    raw: float | UnsetType = UNSET
    p_violation: float | UnsetType | None = UNSET
    tier: int | UnsetType = UNSET
    action: str | UnsetType = UNSET
    intervention: msgspec.Raw | UnsetType = UNSET
    reasons: msgspec.Raw | UnsetType = UNSET
    errors: tuple[_Error, ...] = ()


class _Answer(msgspec.Struct):
    accepted: int
    duplicates: int
    rejected: int
    results: list[_Result]


_encoder = msgspec.json.Encoder()
_LABELS = {action: action.label for action in Action}


def encode(done: Outcome, shown: str) -> bytes:
    """The body of the answer; `shown` is all, rejected or none: which records are told of."""
    told = {
        "none": [],
        "rejected": [i for i in done.results if i.status == "rejected"],
        "all": done.results,
    }[shown]
    return _encoder.encode(
        _Answer(done.accepted, done.duplicates, done.rejected, [_result(i) for i in told])
    )


def _result(incoming: Incoming) -> _Result:
    decision = incoming.decision
    key = None if incoming.key is None else _uuid(incoming.key)
    if decision is None or incoming.status == "rejected":
        errors = tuple(_Error(e.path, e.code, e.message) for e in incoming.errors)
        return _Result(incoming.index, incoming.external_id, key, incoming.status, errors=errors)
    return _Result(
        incoming.index,
        incoming.external_id,
        key,
        incoming.status,
        decision.score,
        decision.raw,
        decision.p_violation,
        decision.tier,
        _LABELS[decision.action],
        UNSET if decision.intervention is None else msgspec.Raw(decision.intervention),
        msgspec.Raw(decision.reasons),
    )


def _uuid(key: bytes) -> str:
    digits = key.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
