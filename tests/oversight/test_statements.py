"""Hand-written statements on real connections: prepared ones survive a migration's changes."""

import pytest
from django.db import NotSupportedError, connection, transaction

from oversight.lib.postgres.statements import Columns, fetch
from oversight.lib.problems import to_application_error
from review.models import ReviewQueue

ASK = "SELECT name FROM statements_probe WHERE id = %(id)s"


@pytest.fixture
def probe(transactional_db):
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE statements_probe (id int, name varchar(5))")
        cursor.execute("INSERT INTO statements_probe VALUES (1, 'first')")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE statements_probe")


def widen():
    """As a migration does, in a session of its own."""
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("ALTER TABLE statements_probe ALTER name TYPE text")
    finally:
        other.close()


def prepared():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s",
            ["%statements_probe%"],
        )
        return cursor.fetchone()[0]


def test_a_column_that_changes_its_type_costs_a_connection_and_no_answer(probe):
    for _ in range(4):
        assert fetch(ASK, {"id": 1}) == [("first",)]
    assert prepared() == 1
    widen()
    assert fetch(ASK, {"id": 1}) == [("first",)]


def test_within_a_transaction_the_rollback_forgets_what_was_prepared(probe):
    for _ in range(4):
        fetch(ASK, {"id": 1})
    widen()
    with pytest.raises(NotSupportedError) as outdated, transaction.atomic():
        fetch(ASK, {"id": 1})
    told = to_application_error(outdated.value)
    assert (told.status, told.retry_after_seconds) == (503, 1)
    with transaction.atomic():
        assert fetch(ASK, {"id": 1}) == [("first",)]


def test_what_the_server_cannot_do_is_no_outdated_plan(probe):
    with pytest.raises(NotSupportedError) as refused, connection.cursor() as cursor:
        cursor.execute("SELECT name FROM elsewhere.public.statements_probe")
    assert to_application_error(refused.value) is None


def test_instances_are_as_querysets_make_them(queue):
    queue.filter = {"regions": ["eu"]}
    queue.save()
    columns = Columns(ReviewQueue, "q", without=["name"])
    (row,) = fetch(
        f"SELECT {columns} FROM review_reviewqueue q WHERE id = %(id)s", {"id": queue.pk}
    )
    values = iter(row)
    got, known = columns.take(values), ReviewQueue.objects.get(pk=queue.pk)
    assert list(values) == []
    assert got.get_deferred_fields() == {"name"}
    for field in ReviewQueue._meta.concrete_fields:
        assert getattr(got, field.attname) == getattr(known, field.attname), field.name
    assert got == known
