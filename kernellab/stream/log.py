"""DbgLog: what a driver printed, kept in order, to read, search and follow."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

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
        self._records: deque[DbgPrint] = deque(maxlen=capacity)
        self._changed = threading.Condition()
        self._let_go = 0
        self._lost = 0
        self._closed = False

    # -- filled by the lab --------------------------------------------------------------------

    def extend(self, records: Iterable[DbgPrint]) -> None:
        """Add records that have arrived."""
        with self._changed:
            before = len(self._records)
            added = 0
            for record in records:
                self._records.append(record)
                added += 1
            self._let_go += before + added - len(self._records)
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

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[DbgPrint]:
        return iter(self.records())

    def __getitem__(self, index: int) -> DbgPrint:
        with self._changed:
            return self._records[index]

    def __contains__(self, text: str) -> bool:
        """Whether any record's text contains ``text``."""
        return any(text in record.text for record in self.records())

    def records(self) -> list[DbgPrint]:
        """A copy of what is there now."""
        with self._changed:
            return list(self._records)

    @property
    def text(self) -> str:
        """Everything printed, as one string."""
        return "".join(record.text for record in self.records())

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
                while taken >= self._let_go + len(self._records):
                    left = None if end is None else end - time.monotonic()
                    if self._closed or (left is not None and left <= 0):
                        return
                    self._changed.wait(left)
                start = max(0, taken - self._let_go)
                batch = list(islice(self._records, start, None))
                taken = self._let_go + len(self._records)
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


def _anything(_: str) -> bool:
    return True
