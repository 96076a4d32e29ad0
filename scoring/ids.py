"""Record ids: deterministic, time-ordered, 128 bits.

An id is made from (project, external id, occurred_at), so a retry of the same record meets its own
row by primary key, in the same partition, without a second unique index. The first 48 bits are the
milliseconds since 1970, as in UUID version 7; version 8 (RFC 9562) marks the rest as our own hash.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from uuid import UUID

import numpy as np
import numpy.typing as npt

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PERSON = b"oversight.rec"


def to_millisecond(moment: datetime) -> datetime:
    """The moment in UTC, cut to the millisecond: the precision that identity has."""
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def milliseconds(moment: datetime) -> int:
    """Whole milliseconds since 1970, by integer arithmetic alone."""
    return (moment - _EPOCH) // _MICROSECOND // 1000


def record_id(project_id: int, external_id: str, occurred_at: datetime) -> UUID:
    """The id of a record.

    Args:
        project_id: the project's key.
        external_id: the client's own id.
        occurred_at: aware; only its milliseconds count.
    """
    ms = milliseconds(occurred_at)
    salt = project_id.to_bytes(8, "big") + ms.to_bytes(8, "big", signed=True)
    digest = blake2b(external_id.encode(), digest_size=10, person=_PERSON, salt=salt).digest()
    r = int.from_bytes(digest, "big")
    return UUID(
        int=(ms << 80) | (8 << 76) | ((r >> 62 & 0xFFF) << 64) | (2 << 62) | (r & (1 << 62) - 1)
    )


def record_ids(
    project_id: int, external_ids: Sequence[str], moments_ms: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint8]:
    """The ids of many records, uint8 (n, 16): the bytes of what `record_id` makes of each.

    Args:
        moments_ms: int64 (n,), whole milliseconds since 1970, in [0, 2⁴⁸).
    """
    n = len(external_ids)
    project = project_id.to_bytes(8, "big")
    big_endian = moments_ms.astype(">i8").tobytes()
    digests = b"".join(
        blake2b(
            external_id.encode(),
            digest_size=10,
            person=_PERSON,
            salt=project + big_endian[8 * i : 8 * i + 8],
        ).digest()
        for i, external_id in enumerate(external_ids)
    )
    r = np.frombuffer(digests, dtype=np.uint8).reshape(n, 10)
    made = np.empty((n, 16), dtype=np.uint8)
    made[:, :6] = np.frombuffer(big_endian, dtype=np.uint8).reshape(n, 8)[:, 2:]
    middle = (r[:, 0] & 3).astype(np.uint16) << 10 | r[:, 1].astype(np.uint16) << 2 | r[:, 2] >> 6
    made[:, 6] = 0x80 | middle >> 8
    made[:, 7] = middle & 0xFF
    made[:, 8] = 0x80 | r[:, 2] & 0x3F
    made[:, 9:] = r[:, 3:]
    return made


def lower_bound(moment: datetime) -> UUID:
    """The smallest id that a record of this millisecond can have."""
    return UUID(int=max(milliseconds(moment), 0) << 80)


def occurred_at(record: UUID) -> datetime:
    """The moment in an id."""
    return _EPOCH + timedelta(milliseconds=record.int >> 80)
