"""DbgLog: what a driver printed, kept in order, to read, search and follow."""

from __future__ import annotations

import json
import re
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..prints import Prints
from ..protocol import DbgPrint, event_fields

if TYPE_CHECKING:
    import pandas as pd

#: Records kept by default. Older ones are let go and counted in :attr:`DbgLog.dropped`.
CAPACITY: Final = 1_000_000


class DbgLog:
    """The DbgPrint records of one driver, oldest first. All methods are thread-safe.

    A record has ``.text .seq .time .level .component .irql .thread`` (see
    :class:`kernellab.protocol.DbgPrint`). Iterating walks over what has arrived so far;
    :meth:`follow` goes on as more comes in.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        # Parts as they came, and the number of records up to each one's end, all that ever came
        # counted: single records of a run are made when somebody asks for them.
        self._parts: list[DbgPrint | Prints] = []
        self._ends: list[int] = []
        self._capacity = capacity
        self._changed = threading.Condition()
        self._let_go = 0
        self._lost = 0
        self._closed = False

    # -- filled by the lab --------------------------------------------------------------------

    def extend(self, records: Iterable[DbgPrint | Prints]) -> None:
        """Add records that have arrived."""
        with self._changed:
            end = self._end
            for part in records:
                end += len(part) if isinstance(part, Prints) else 1
                self._parts.append(part)
                self._ends.append(end)
            self._let_go = max(self._let_go, end - self._capacity)
            gone = bisect_right(self._ends, self._let_go)
            if gone * 8 > len(self._parts):  # taking off the front of a list is not free
                del self._parts[:gone], self._ends[:gone]
            self._changed.notify_all()

    def count_lost(self, count: int) -> None:
        """Note that ``count`` records never arrived."""
        with self._changed:
            self._lost += count

    def close(self) -> None:
        """Nothing more will come: :meth:`follow` and :meth:`wait` end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def reopen(self) -> None:
        """The driver was loaded again: more will come."""
        with self._changed:
            self._closed = False

    # -- reading ------------------------------------------------------------------------------

    @property
    def dropped(self) -> int:
        """Records that are missing: never arrived, or let go because the log was full."""
        return self._lost + self._let_go

    @property
    def _end(self) -> int:
        """Records that ever came."""
        return self._ends[-1] if self._ends else self._let_go

    def __len__(self) -> int:
        with self._changed:
            return self._end - self._let_go

    def __iter__(self) -> Iterator[DbgPrint]:
        return iter(self.records())

    def __getitem__(self, index: int) -> DbgPrint:
        with self._changed:
            number = range(self._let_go, self._end)[index]
            at = bisect_right(self._ends, number)
            return _records(self._parts[at])[number - self._ends[at]]

    def __contains__(self, text: str) -> bool:
        """Whether any record's text contains ``text``."""
        return any(text in each for each in self._texts())

    def records(self) -> list[DbgPrint]:
        """A copy of what is there now."""
        with self._changed:
            return self._since(self._let_go)

    def _since(self, number: int) -> list[DbgPrint]:
        """Records from a number on, all that ever came counted (the lock is held)."""
        at = bisect_right(self._ends, number)
        kept = list(chain.from_iterable(map(_records, self._parts[at:])))
        return kept[len(kept) - (self._end - number) :]

    def _texts(self) -> list[str]:
        with self._changed:
            at = bisect_right(self._ends, self._let_go)
            parts = self._parts[at:]
            count = self._end - self._let_go
        texts: list[str] = []
        for part in parts:
            texts += part.texts if isinstance(part, Prints) else (part.text,)
        return texts[len(texts) - count :]

    @property
    def text(self) -> str:
        """Everything printed, as one string."""
        return "".join(self._texts())

    @property
    def lines(self) -> list[str]:
        """Everything printed, line by line, without line ends."""
        return self.text.splitlines()

    def filter(
        self,
        pattern: str | None = None,
        *,
        level: int | None = None,
        component: int | None = None,
        since: float = 0.0,
        until: float = float("inf"),
    ) -> list[DbgPrint]:
        """Records whose text matches the regular expression ``pattern`` and all else given.

        ``since`` and ``until`` are seconds of the target's time.
        """
        matches: Callable[[str], object] = re.compile(pattern).search if pattern else _anything
        return [
            r
            for r in self.records()
            if since <= r.time <= until
            and (level is None or r.level == level)
            and (component is None or r.component == component)
            and matches(r.text)
        ]

    def wait(self, text: str, timeout: float = 10.0) -> DbgPrint | None:
        """The first record that contains ``text``, waiting up to ``timeout`` seconds for it."""
        for record in self.follow(timeout):
            if text in record.text:
                return record
        return None

    def follow(self, timeout: float | None = None) -> Iterator[DbgPrint]:
        """Walk over the records and wait for more, until closed or ``timeout`` seconds passed."""
        end = None if timeout is None else time.monotonic() + timeout
        taken = 0  # records handed out, counted from the very first one
        while True:
            with self._changed:
                while taken >= self._end:
                    left = None if end is None else end - time.monotonic()
                    if self._closed or (left is not None and left <= 0):
                        return
                    self._changed.wait(left)
                batch = self._since(max(taken, self._let_go))
                taken = self._end
            yield from batch

    # -- out ----------------------------------------------------------------------------------

    def to_jsonl(self, path: str | Path | None = None) -> str:
        """The records as JSON lines (events as ``--json`` prints them); written to ``path`` too."""
        text = "".join(json.dumps(event_fields(record)) + "\n" for record in self.records())
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def to_dataframe(self) -> pd.DataFrame:
        """A pandas DataFrame, one row a record (needs pandas)."""
        import pandas as pd

        columns = ["seq", "time", "level", "component", "irql", "thread", "text"]
        rows = [[getattr(r, c) for c in columns] for r in self.records()]
        return pd.DataFrame(rows, columns=columns)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        missing = f", {self.dropped} dropped" if self.dropped else ""
        return f"<DbgLog: {len(self)} records{missing}>"


def _records(part: DbgPrint | Prints) -> Sequence[DbgPrint]:
    return part.records if isinstance(part, Prints) else (part,)


def _anything(_: str) -> bool:
    return True
