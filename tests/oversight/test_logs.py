"""What stands in the log when something goes wrong: where and what, and nothing of the rows."""

import json
import logging
import sys

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from oversight.lib.logs import JsonFormatter, describe
from oversight.tenancy.models import Project, User

SECRET = "my-secret@content.example"


def logged(error):
    record = logging.LogRecord(
        "x", logging.ERROR, __file__, 1, "it failed\nand more", (), sys.exc_info()
    )
    assert sys.exc_info()[1] is error
    line = JsonFormatter().format(record)
    assert "\n" not in line
    return json.loads(line)


@pytest.fixture
def broken(db):
    """An error of the database whose own text quotes the row, and what it led to."""
    User.objects.create(email=SECRET)
    with transaction.atomic():
        try:
            User.objects.create(email=SECRET)
        except IntegrityError as error:
            transaction.set_rollback(True)
            return error


def test_a_quoted_row_stays_out(broken):
    assert SECRET in str(broken)
    told = describe(broken)
    assert SECRET not in told
    assert "23505" in told
    assert "tenancy_user" in told
    try:
        raise RuntimeError("the person was not made") from broken
    except RuntimeError as error:
        entry = logged(error)
    assert SECRET not in json.dumps(entry)
    trace = entry["exception"]
    assert trace.index("SQLSTATE 23505") < trace.index("RuntimeError: the person was not made")
    assert "test_logs.py" in trace


def test_what_has_no_row_in_it_is_told_as_it_is(db):
    with pytest.raises(DatabaseError) as caught:
        Project.objects.create(slug="a\x00b")
    assert "NUL" in describe(caught.value)
    assert describe(ValueError("plain")) == "ValueError: plain"


def test_an_error_that_names_itself_as_its_cause_is_told_once():
    error = ValueError("plain")
    try:
        raise error from error
    except ValueError:
        assert logged(error)["exception"].count("ValueError: plain") == 1
