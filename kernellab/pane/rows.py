"""The rows of a log: what was printed, line by line, with the events between.

A DbgPrint's text need not be one line: it may hold several, or a part of one that the next
call continues. Rows are numbered from 0 for as long as the pane lives; the last one may still grow.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ..prints import Prints
from ..protocol import BugcheckEvent, DbgPrint, Dropped, ErrorEvent, Event, State, Violation
from .text import (
    Source,
    code_text,
    component_name,
    level_name,
    one_line,
    own_frame,
    panic_text,
    printable,
    stopped_at,
)

#: What a row is; the front end has the same numbers.
PRINT, STATE, VIOLATION, BUGCHECK, DROPPED, ERROR = range(6)
#: Set beside the kind: the row continues the one above (a very long line).
CONTINUED: Final = 8

#: How a row that is no print begins, where there are no colours.
MARKS: Final = {STATE: "—", VIOLATION: "⚠", BUGCHECK: "✖", DROPPED: "…", ERROR: "✖"}

#: Longest row, characters; what is longer goes on in the next row.
MAX_ROW: Final = 4096

#: Drivers told apart; what comes after these counts as the last.
MOST_DRIVERS: Final = 1 << 12

#: Rows kept. Older ones are let go and counted.
CAPACITY: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """One row: ``text`` is fit for any screen, ``time`` seconds of the target's time."""

    text: str
    time: float
    kind: int = PRINT
    continued: bool = False
    level: int = 0
    component: int = 0
    irql: int = 0
    driver: str = ""
    thread: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows from number ``first`` on, in columns.

    ``meta`` packs kind, irql, level and component; ``origin`` the driver, as its place in
    :attr:`Rows.drivers` (12 bits), and the thread's number (20 bits).
    """

    first: int
    texts: list[str]
    times: array[float]
    meta: array[int]
    origin: array[int]


class Rows:
    """Rows in columns. Not thread-safe: the pane has the lock."""

    def __init__(self, source: Source = None, *, capacity: int = CAPACITY) -> None:
        self._source = source
        self._capacity = capacity
        self._texts: list[str] = []
        self._times = array("d")
        self._meta = array("I")
        self._origin = array("I")
        self._places: dict[str, int] = {}
        self._seen_meta: set[int] = set()
        #: Drivers that have rows, by the numbers that the rows have for them.
        self.drivers: list[str] = []
        #: Names of the components that occur, by number.
        self.components: dict[int, str] = {}
        self._open = ""  # the driver whose last row lacks its newline
        self._is_open = False
        self._last_time = 0.0
        self._loaded: set[str] = set()  # drivers whose load these rows have seen
        #: Number of the oldest row that is kept.
        self.base = 0
        #: Events that never arrived.
        self.lost = 0

    @property
    def total(self) -> int:
        """Rows so far, those let go included."""
        return self.base + len(self._texts)

    @property
    def dropped(self) -> int:
        """What is missing: events that never arrived, and rows let go."""
        return self.lost + self.base

    @property
    def version(self) -> tuple[int, int]:
        """What is another one whenever rows have been added, or the last one has grown."""
        return self.total, len(self._texts[-1]) if self._texts else 0

    def size(self) -> int:
        """About how many characters all of it takes."""
        return sum(map(len, self._texts)) + 64 * len(self._texts)

    def fits(self, characters: int) -> bool:
        """Whether :meth:`ends` would leave nothing out."""
        return _fit(self._texts, characters) == len(self._texts)

    def add(self, events: Iterable[Event]) -> int:
        """Add events; the number of the first row that is new or has changed."""
        changed = self.total
        for event in events:
            if isinstance(event, Prints):
                if not self._whole_lines(event):
                    changed = min(changed, *map(self._print, event.records))
            elif isinstance(event, DbgPrint):
                changed = min(changed, self._print(event))
            else:
                self._other(event)
        self._trim()
        return max(changed, self.base)

    def _print(self, event: DbgPrint) -> int:
        text = printable(event.text)
        meta, origin = self._packed(event)
        self._last_time = event.time
        first = self.total
        if not self._is_open and text.find("\n") == len(text) - 1 <= MAX_ROW and text:
            self._append(text[:-1], event.time, meta, origin)  # one whole line: nearly all are
            self._open = event.driver
            return first
        ended = text.endswith("\n")
        lines = text.split("\n")
        if ended:
            lines.pop()
        if self._is_open and self._open == event.driver and self._meta[-1] & ~CONTINUED == meta:
            first -= 1
            lines[0] = self._texts[-1] + lines[0]
            kept, at = self._meta[-1] & CONTINUED, self._times[-1]
            self._cut_last()
        else:
            kept, at = 0, event.time
        for line in lines:
            for start in range(0, max(len(line), 1), MAX_ROW):
                self._append(line[start : start + MAX_ROW], at, meta | kept, origin)
                kept = CONTINUED
            kept, at = 0, event.time
        self._is_open, self._open = not ended, event.driver
        return first

    def _whole_lines(self, run: Prints) -> bool:
        """Take a run of which each print is one whole line, at once; else False: nearly all are."""
        count = len(run)
        text = printable("".join(run.texts))
        lines = text.split("\n")
        if (
            self._is_open
            or len(lines) != count + 1
            or not all(each.endswith("\n") for each in run.texts)
            or max(map(len, lines)) > MAX_ROW
        ):
            return False
        meta, origin = self._packed(run)
        del lines[-1]
        self._texts += lines
        self._times.extend(run.times)
        self._meta.extend([meta] * count)
        self._origin.extend([origin] * count)
        self._last_time, self._open = run.times[-1], run.driver
        return True

    def _packed(self, event: DbgPrint | Prints) -> tuple[int, int]:
        """What a print's rows have in ``meta`` and ``origin``."""
        meta = _pack(PRINT, event.irql, event.level, event.component)
        if meta not in self._seen_meta:
            self._seen_meta.add(meta)
            self.components[meta >> 16] = component_name(meta >> 16)
        return meta, self._place(event.driver) | (event.thread & 0xFFFFF) << 12

    def _other(self, event: Event) -> None:
        name = one_line(event.driver) or "the machine"
        if isinstance(event, Violation):
            where = own_frame(event.frames, self._source)
            place = f" ({where.file}:{where.line})" if where else ""
            self._row(event, VIOLATION, f"verifier: {event.rule}: {event.message}{place}")
        elif isinstance(event, BugcheckEvent):
            own = stopped_at(event.frames, self._source, panic_text(self.last_prints()))
            place = f" ({own.file}:{own.line})" if own else ""
            self._row(event, BUGCHECK, f"bug check {code_text(event.code)} {event.name}{place}")
        elif isinstance(event, Dropped):
            self.lost += event.count
            self._row(event, DROPPED, f"{event.count:,} events were lost here")
        elif isinstance(event, ErrorEvent):
            own = stopped_at(event.frames, self._source)
            place = f" ({own.file}:{own.line})" if own else ""
            self._row(event, ERROR, f"error: {event.message}{place}")
        elif isinstance(event, State):
            self._state(event, name)

    def _state(self, event: State, name: str) -> None:
        status = f": {event.status}" if event.status not in ("", "STATUS_SUCCESS") else ""
        if event.state == "rebooted":
            why = f", as it had stopped ({event.status})" if event.status else ""
            self._row(event, STATE, f"the machine was rebooted{why}")
        elif event.state == "loaded":
            if event.driver in self._loaded:  # the first time, nothing stands above of this load
                self._row(event, STATE, f"{name} loaded again")
            self._loaded.add(event.driver)
        elif event.state == "handle closed":
            self._row(event, STATE, f"the open handle to {event.status} was closed")
        elif event.state in ("failed", "unloaded", "unload pending"):
            self._row(event, STATE, f"{name} {event.state}{status}")

    def _row(self, event: Event, kind: int, text: str) -> None:
        self._is_open = False
        self._append(one_line(text)[:MAX_ROW], self._last_time, kind, self._place(event.driver))

    def _place(self, driver: str) -> int:
        """The number that rows have for a driver."""
        place = self._places.get(driver)
        if place is None:
            place = self._places[driver] = min(len(self._places), MOST_DRIVERS - 1)
            if place == len(self.drivers):
                self.drivers.append(one_line(driver))
        return place

    def _append(self, text: str, at: float, meta: int, origin: int) -> None:
        self._texts.append(text)
        self._times.append(at)
        self._meta.append(meta)
        self._origin.append(origin)

    def _cut_last(self) -> None:
        self._texts.pop()
        self._times.pop()
        self._meta.pop()
        self._origin.pop()

    def _trim(self) -> None:
        # In one go, now and then: taking rows off the front of a list is not free.
        if len(self._texts) > self._capacity * 1.1 + 16:
            cut = len(self._texts) - self._capacity
            del self._texts[:cut]
            del self._times[:cut]
            del self._meta[:cut]
            del self._origin[:cut]
            self.base += cut

    # -- reading --------------------------------------------------------------------------------

    def batch(self, first: int, rows: int, characters: int) -> Batch:
        """Rows from ``first`` on: at most ``rows``, and about ``characters`` (one row at least)."""
        first = max(first, self.base)
        start = first - self.base
        stop = min(start + rows, len(self._texts))
        texts = self._texts[start:stop]
        size = 0
        for index, text in enumerate(texts):
            size += len(text)
            if size > characters and index:
                texts = texts[:index]
                break
        span = slice(start, start + len(texts))
        return Batch(first, texts, self._times[span], self._meta[span], self._origin[span])

    def __len__(self) -> int:
        return len(self._texts)

    def rows(self, start: int, stop: int) -> list[Row]:
        """Kept rows ``start`` to ``stop``, counted from the oldest kept."""
        span = slice(start, stop)
        columns = zip(
            self._texts[span], self._times[span], self._meta[span], self._origin[span], strict=True
        )
        return [self._unpack(*each) for each in columns]

    def _unpack(self, text: str, at: float, meta: int, origin: int) -> Row:
        return Row(
            text,
            at,
            meta & 7,
            bool(meta & CONTINUED),
            level=meta >> 8 & 255,
            component=meta >> 16,
            irql=meta >> 4 & 15,
            driver=self.drivers[origin & MOST_DRIVERS - 1],
            thread=origin >> 12,
        )

    def plain(self, start: int, stop: int) -> str:
        """Kept rows ``start`` to ``stop`` as lines with times and levels, each after a newline."""
        out: list[str] = []
        span = slice(start, stop)
        columns = zip(self._texts[span], self._times[span], self._meta[span], strict=True)
        for text, at, meta in columns:
            if meta & CONTINUED:
                out.append(text)
                continue
            kind = meta & 7
            level = level_name(meta >> 8 & 255, meta >> 16) if kind == PRINT else ""
            mark = f"[{level}] " if level else f"{MARKS[kind]} " if kind in MARKS else ""
            out.append(f"\n{at:12.6f}  {mark}{text}")
        return "".join(out)

    def last_prints(self, among: int = 16) -> list[str]:
        """The prints among the last rows, oldest first."""
        rows = self.rows(max(0, len(self._texts) - among), len(self._texts))
        return [row.text for row in rows if row.kind == PRINT]

    def ends(self, characters: int, head_share: float = 0.25) -> tuple[list[Row], int, list[Row]]:
        """The first and the last rows that fit in ``characters`` each plus 20; how many are not.

        All rows come in the first list when they fit.
        """
        head = _fit(self._texts, characters)
        if head == len(self._texts):
            return self.rows(0, head), 0, []
        head = _fit(self._texts, int(characters * head_share))
        tail = _fit(reversed(self._texts), characters - int(characters * head_share))
        start = max(head, len(self._texts) - tail)
        return self.rows(0, head), start - head, self.rows(start, len(self._texts))


def _fit(texts: Iterable[str], characters: int) -> int:
    count = 0
    for text in texts:
        characters -= len(text) + 20
        if characters < 0:
            break
        count += 1
    return count


def _pack(kind: int, irql: int, level: int, component: int) -> int:
    return (
        kind
        | (irql & 15) << 4
        | min(max(level, 0), 255) << 8
        | min(max(component, 0), 0xFFFF) << 16
    )


def plain_rows(rows: Sequence[Row]) -> str:
    """Rows as the lines they were."""
    out: list[str] = []
    for row in rows:
        if row.continued and out:
            out[-1] += row.text
        else:
            mark = MARKS.get(row.kind)
            out.append(f"{mark} {row.text}" if mark else row.text)
    return "\n".join(out)
