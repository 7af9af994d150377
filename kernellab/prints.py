"""A run of DbgPrint events as one event, in columns: most of what a driver sends is these.

A client that says so in its ``hello`` gets consecutive prints that differ in text and time alone
as one line::

    {"event": "dbgprints", "seq": 7, "driver": "hello", "texts": ["a\\n", "b\\n"],
     "times": [0.5, 0.6], "level": 0, "component": 77, "irql": 0, "thread": 4}

It stands for the single events 7 and 8, which are made where somebody asks for them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count, repeat
from typing import Any, ClassVar, Final, overload

from .protocol import DbgPrint, Event, ProtocolError

#: Most prints of one run: with them, a line stays below ``protocol.MAX_LINE``.
MOST: Final = 1024

_making = threading.Lock()
_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True, eq=False)
class Prints(Event):
    """Prints numbered from ``seq`` on, alike but for ``texts`` and ``times``."""

    kind: ClassVar[str] = "dbgprints"
    texts: Sequence[str] = ()
    times: Sequence[float] = ()
    level: int = 0
    component: int = 0
    irql: int = 0
    thread: int = 0
    _made: list[DbgPrint] = field(default_factory=list, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def records(self) -> Sequence[DbgPrint]:
        """The single events; the same objects each time."""
        with _making:
            if not self._made:
                alike = map(repeat, (self.level, self.component, self.irql, self.thread))
                columns = count(self.seq), repeat(self.driver), self.texts, self.times, *alike
                self._made.extend(map(DbgPrint, *columns))
        return self._made


class Events(Sequence[Event]):
    """A batch as its subscribers get it: single events, made of runs when first looked at."""

    def __init__(self, parts: Sequence[Event]) -> None:
        #: Events in order, a run of prints as one :class:`Prints`.
        self.parts = parts
        self._singles: list[Event] | None = None

    def _all(self) -> list[Event]:
        if self._singles is None:
            self._singles = list(chain.from_iterable(map(singles, self.parts)))
        return self._singles

    def __len__(self) -> int:
        return sum(len(part) if isinstance(part, Prints) else 1 for part in self.parts)

    def __iter__(self) -> Iterator[Event]:
        return iter(self._all())

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | Sequence[Event]:
        return self._all()[index]


def singles(event: Event) -> Sequence[Event]:
    """The event, or the single ones that a run stands for."""
    return event.records if isinstance(event, Prints) else (event,)


def parts_of(events: Sequence[Event]) -> Sequence[Event]:
    """The batch with its runs as they came, for who takes :class:`Prints` as well."""
    return events.parts if isinstance(events, Events) else events


def addressed(events: Sequence[Event], drivers: Sequence[str]) -> list[Event]:
    """``events``, in which a print that nobody knows the driver of is one of each of ``drivers``.

    A guest agent cannot always tell who printed; with its own number, the line is in each log.
    """
    out: list[Event] = []
    for event in events:
        if isinstance(event, DbgPrint | Prints) and not event.driver and drivers:
            out.extend(replace(event, driver=name) for name in drivers)
        else:
            out.append(event)
    return out


def encode(run: Prints) -> str:
    """The run as one line, without its newline."""
    fields = {
        "event": run.kind,
        "seq": run.seq,
        "driver": run.driver,
        "texts": run.texts,
        "times": run.times,
        "level": run.level,
        "component": run.component,
        "irql": run.irql,
        "thread": run.thread,
    }
    return _encode(fields)


def parse(message: Mapping[str, Any]) -> Prints:
    """The run in a decoded line, or ProtocolError; unknown fields are dropped."""
    texts, times = message.get("texts"), message.get("times")
    if not isinstance(texts, list) or not isinstance(times, list) or len(texts) != len(times):
        raise ProtocolError("texts and times are not lists of one length")
    if set(map(type, texts)) != {str} or not set(map(type, times)) <= {int, float}:
        raise ProtocolError("texts are not strings, or times not numbers, or there are none")
    numbers = [message.get(name, 0) for name in ("seq", "level", "component", "irql", "thread")]
    driver = message.get("driver", "")
    if set(map(type, numbers)) != {int} or type(driver) is not str:
        raise ProtocolError("a number is no number, or the driver no string")
    return Prints(numbers[0], driver, texts, list(map(float, times)), *numbers[1:])
