"""What the web processes of one parent tell each other: that they turn, and what they hold."""

import mmap
import struct
import time

_ROW = struct.Struct("dq")  # when it last turned, in monotonic seconds; its open connections
_TURNED = struct.Struct("d")  # the first of these
_TELL_SECONDS = 0.25  # between two notes that nothing has changed


class Siblings:
    """A row per process in memory that all of them share, made before they are forked."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._rows = mmap.mmap(-1, _ROW.size * n)

    def place(self, slot: int) -> "Place":
        return Place(self, slot)

    def tell(self, slot: int, connections: int) -> None:
        _ROW.pack_into(self._rows, slot * _ROW.size, time.monotonic(), connections)

    def forgive(self, slot: int) -> None:
        """Take a process for well that had no chance to say so."""
        _TURNED.pack_into(self._rows, slot * _ROW.size, time.monotonic())

    def turned_at(self, slot: int) -> float:
        """When a process was last seen to be well."""
        return float(_ROW.unpack_from(self._rows, slot * _ROW.size)[0])

    def fewest(self, except_slot: int) -> int | None:
        """The fewest connections that any of the others holds; None where there are no others."""
        held = [_ROW.unpack_from(self._rows, slot * _ROW.size)[1] for slot in range(self._n)]
        del held[except_slot]
        return min(held, default=None)


class Place:
    """One process among its siblings."""

    def __init__(self, siblings: Siblings, slot: int) -> None:
        self._siblings = siblings
        self._slot = slot
        self._told, self._told_at = -1, 0.0

    def turn(self, connections: int) -> None:
        """Say that all is well, and how many connections are open; at most as often as it helps."""
        now = time.monotonic()
        if connections != self._told or now > self._told_at + _TELL_SECONDS:
            self._told, self._told_at = connections, now
            self._siblings.tell(self._slot, connections)

    def is_fuller(self, connections: int) -> bool:
        """Whether another holds fewer than these."""
        fewest = self._siblings.fewest(self._slot)
        return fewest is not None and fewest < connections
