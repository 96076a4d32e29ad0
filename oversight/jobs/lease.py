"""Keeps a lease while one long step works, which has no moment to report its progress.

The renewals come from a thread with a database connection of its own: the work may be in the middle
of a transaction for minutes. A process that dies renews nothing, and one that hangs is ended by the
task's hard time limit.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import Error, connection, connections

logger = logging.getLogger(__name__)

EVERY_SECONDS = 30.0


@contextmanager
def kept(renew: Callable[[], bool]) -> Iterator[None]:
    """Call `renew` every half minute until the block ends, or it says that the lease is lost."""
    is_over = threading.Event()

    def beat() -> None:
        try:
            while not is_over.wait(EVERY_SECONDS):
                try:
                    if not renew():
                        return
                except Error:
                    logger.warning("a lease could not be renewed; trying again")
                    connection.close()  # it may be lost, and is made anew only where it is closed
        finally:
            connections.close_all()  # this thread's own

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
