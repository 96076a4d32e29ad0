"""The lookup by many keys at once."""

from scoring.models import InferenceRecord, IngestBatch
from tests.factories import make_record


def test_any_finds_what_in_finds_in_a_statement_that_does_not_grow(send):
    for index in range(4):
        send([make_record(index)])
    keys = list(IngestBatch.objects.order_by("pk").values_list("pk", flat=True))
    for wanted in (keys, keys[1:3], [], [*keys, *range(10**6, 10**6 + 200_000)]):
        by_any = InferenceRecord.objects.filter(batch__any=wanted)
        mine = InferenceRecord.objects.filter(batch__in=[key for key in wanted if key in keys])
        assert set(by_any) == set(mine)
    statements = [
        InferenceRecord.objects.filter(batch__any=range(n)).query.sql_with_params()[0]
        for n in (1, 100_000)
    ]
    assert statements[0] == statements[1]
