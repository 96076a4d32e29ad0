"""Small posts of one sender that arrive at once share a transaction.

Nobody waits for company: whoever comes while a transaction of the same sender is under way in this
process joins the next one. Under load that is one commit, one batch and one audit row for many
posts; without load it changes nothing.
"""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import InterfaceError, OperationalError

from oversight.lib import allowance, errors
from oversight.tenancy.actors import Actor
from scoring.services.ingest import Outcome, ingest

MAX_JOINING = 16  # records of a post that joins others; more are worth a transaction of their own
MAX_TOGETHER = 500  # records of posts that were joined


@dataclass(eq=False, slots=True)
class _Post:
    """One post that waits: for its outcome, or to be told to lead the next transaction."""

    slices: Sequence[bytes]
    woken: threading.Event = field(default_factory=threading.Event)
    outcome: Outcome | None = None
    error: Exception | None = None
    is_left: bool = False  # whoever sent it waits for it no longer


class _Sender:
    """The posts of one sender: at most one of them leads, the others wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Post] = []
        self._is_led = False

    def join(self, post: _Post) -> bool:
        """Whether the post leads at once."""
        with self._lock:
            leads, self._is_led = not self._is_led, True
            if not leads:
                self._waiting.append(post)
            return leads

    def take_along(self, leader: _Post) -> list[_Post]:
        """The posts of the next transaction, the leader's first."""
        with self._lock:
            taken, n = [leader], len(leader.slices)
            while self._waiting and n + len(self._waiting[0].slices) <= MAX_TOGETHER:
                taken.append(self._waiting.pop(0))
                n += len(taken[-1].slices)
            return taken

    def put_back(self, taken: Sequence[_Post]) -> None:
        """Let posts that were taken along, and came to nothing, wait for the next transaction."""
        with self._lock:
            self._waiting[:0] = [post for post in taken if not post.is_left]

    def take_all(self) -> list[_Post]:
        """The posts that wait, which will not wait any longer."""
        with self._lock:
            taken, self._waiting = self._waiting, []
            return taken

    def hand_over(self) -> None:
        """Let the longest waiting post lead, if there is one."""
        with self._lock:
            if self._waiting:
                self._waiting.pop(0).woken.set()
            else:
                self._is_led = False

    def leave(self, post: _Post) -> None:
        """Give up waiting; one that was told to lead meanwhile passes that on."""
        with self._lock:
            post.is_left = True
            if post in self._waiting:
                self._waiting.remove(post)
                return
        if post.woken.is_set() and post.outcome is None and post.error is None:
            self.hand_over()


_senders: dict[tuple[int, str, str], _Sender] = {}


def ingest_together(actor: Actor, *, slices: Sequence[bytes]) -> Outcome:
    """Take in a small batch, in one transaction with others of the same sender.

    The same as `ingest`, which it calls, in arguments, answers and errors.

    Raises:
        Unavailable: the transaction it joined did not end before its deadline; it may still commit.
    """
    sender = _senders.setdefault((actor.project.pk, actor.kind, actor.id), _Sender())
    mine = _Post(slices)
    if not sender.join(mine):
        if not _is_woken(mine):
            sender.leave(mine)
            raise errors.Unavailable(
                "others of this sender are still being taken in", retry_after_seconds=1
            )
        if mine.error is not None:
            raise mine.error
        if mine.outcome is not None:
            return mine.outcome
    try:
        _lead(actor, sender, mine)
    finally:
        sender.hand_over()
    if mine.error is not None:
        raise mine.error
    assert mine.outcome is not None
    return mine.outcome


def _lead(actor: Actor, sender: _Sender, mine: _Post) -> None:
    """One transaction for all; where that fails for reasons of its content, one for each.

    Where the database is at fault, whoever waits would meet the same, one after the other; but not
    where the leader had hardly any time left: that is its own misfortune.
    """
    posts = sender.take_along(mine)
    left = allowance.current()
    is_telling = left is None or left.is_telling
    try:
        whole = ingest(actor, slices=[raw for post in posts for raw in post.slices])
        _share(whole, posts)
    except (OperationalError, InterfaceError, errors.Unavailable) as error:
        if is_telling:
            posts += sender.take_all()
        else:
            sender.put_back(posts[1:])
            posts = [mine]
        for post in posts:
            post.error = error
    except Exception:  # one post may be to blame: each is tried alone, and told its own error
        for post in posts:
            _take_in_alone(actor, post)
    finally:
        for post in posts[1:]:
            post.woken.set()


def _take_in_alone(actor: Actor, post: _Post) -> None:
    try:
        post.outcome = ingest(actor, slices=post.slices)
    except Exception as error:
        post.error = error


def _share(whole: Outcome, posts: Sequence[_Post]) -> None:
    """Each post's part of the outcome, counted from its own first record."""
    start = 0
    for post in posts:
        part = whole.results[start : start + len(post.slices)]
        for incoming in part:
            incoming.index -= start
        start += len(post.slices)
        counts = Counter(incoming.status for incoming in part)
        post.outcome = Outcome(counts["accepted"], counts["duplicate"], counts["rejected"], part)


def _is_woken(post: _Post) -> bool:
    """Wait for others, who wait for the database: it counts as waiting for the database."""
    left = allowance.current()
    if left is None:
        return post.woken.wait()
    began = time.monotonic()
    try:
        return post.woken.wait(left.next_wait_seconds())
    finally:
        left.spend(time.monotonic() - began)
