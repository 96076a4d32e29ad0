"""A keyed sample of a queue's recent candidates: what a feature space is fitted to."""

import hashlib

from django.db.models import BigIntegerField, F, Func, Q, Value

from review.models import ReviewQueue
from review.models.queues import Stratum
from review.strata import candidate_rule
from scoring.models import InferenceRecord, Window
from scoring.selectors import candidates
from scoring.services import pinned
from scoring.services.pinned import Stored

SIZE = 4_096
_MOST_WINDOWS = 8


def sample(queue: ReviewQueue, key: int) -> list[Stored]:
    """About `SIZE` records of the stream in the newest windows, each by equal chance.

    Args:
        key: another key draws another sample.
    """
    windows: list[Window] = []
    n_records = 0
    newest = Window.objects.filter(project=queue.project_id).order_by("-number")
    for window in newest[:_MOST_WINDOWS]:
        windows.append(window)
        n_records += window.n_records
        if n_records >= SIZE:
            break
    rule, anywhere = candidate_rule(queue, Stratum.STREAM), Q(pk__in=[])
    for window in windows:
        anywhere |= candidates.condition(window, rule)
    found = InferenceRecord.objects.filter(anywhere)
    if n_records > SIZE:
        # The hash is the server's own: a record's lot costs no more than reading its id.
        lot = Func(
            F("id"),
            Value(_seed(queue, key), output_field=BigIntegerField()),
            function="uuid_hash_extended",
            output_field=BigIntegerField(),
        )
        bound = -(2**63) + int(2**64 * (SIZE / n_records))
        found = found.annotate(lot=lot).filter(lot__lt=bound)
    ids = list(found.order_by("id").values_list("id", flat=True)[: 2 * SIZE])
    return sorted(pinned.stored(ids), key=lambda row: row.record_id)


def _seed(queue: ReviewQueue, key: int) -> int:
    digest = hashlib.blake2b(f"{queue.pk}/{key}".encode(), digest_size=8, person=b"reference")
    return int.from_bytes(digest.digest(), "big", signed=True)
