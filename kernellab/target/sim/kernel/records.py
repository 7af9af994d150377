"""What is known of things by their addresses, and never changes once it is known.

There can be many such records: the allocations that are live, what the last ones were that are
gone. A snapshot copies the dictionary only, which takes microseconds for thousands of them, where
making the records anew would take milliseconds at each restore.
"""

from __future__ import annotations

from itertools import islice
from typing import TypeVar

_Record = TypeVar("_Record")


class Records(dict[int, _Record]):
    """A dictionary whose values are never changed, nor anything that they refer to."""

    __slots__ = ()

    def remember(self, address: int, record: _Record, most: int) -> None:
        """Add a record, and forget the oldest so that about ``most`` are left.

        Several at a time, since finding the first of a dictionary that others were taken out of
        takes as long as there were of those.
        """
        self[address] = record
        if len(self) > most + (most >> 3):
            for key in list(islice(self, len(self) - most)):
                del self[key]
