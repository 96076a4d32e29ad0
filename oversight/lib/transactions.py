"""One transaction holds a change, its audit row and its outbox row; work follows the commit."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db import connection, transaction


def atomic() -> Any:
    """A transaction that may nest; the outermost one commits."""
    return transaction.atomic()


def alone() -> AbstractContextManager[Any]:
    """What a single statement needs: nothing, or a savepoint inside of another transaction.

    A statement is a transaction by itself; saying so costs two round trips.
    """
    return transaction.atomic() if connection.in_atomic_block else nullcontext()


def on_commit(work: Callable[[], Any]) -> None:
    """Run `work` once the surrounding transaction has committed, and never if it rolls back."""
    transaction.on_commit(work)


def advisory_lock(name: str, key: int, *, shared: bool = False) -> None:
    """Serialise a small critical section until the transaction ends.

    Args:
        name: what is protected; hashed with `key` into PostgreSQL's 64-bit lock space.
        key: which one, for example the project's id.
        shared: hold it beside others who share it; only whoever does not is kept out.
    """
    take = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {take}(hashtextextended(%s, %s))", [name, key])


def try_advisory_lock(name: str, key: int) -> bool:
    """The same, but False at once where somebody else holds it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, %s))", [name, key])
        return bool(cursor.fetchone()[0])
