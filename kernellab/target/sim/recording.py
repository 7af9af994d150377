"""What a trace holds while it is recorded: a ring of records, and the spans that are still open.

Of the ring the oldest is let go. What is recorded, and when, :mod:`.recorder` knows.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from kernellab.tracefile import DPC_TRACK, ISR_TRACK, OTHER_TRACK, RECORD, Flag, Kind, pack

from .call_stacks import CallStacks
from .kernel.thread import Thread

if TYPE_CHECKING:
    from .kernel.execution import Flow
    from .kernel.kernel import Kernel

#: As :data:`RECORD` has them, with the name's text in the place of its number.
Record = tuple[int, int, int, int, str, int, int, int, int, int]

_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
_ISR_NAMES: Final = ("KiInterruptDispatch", "KiIpiInterrupt")


class _Open:
    """A span that has not ended: of a flow at some depth of its levels."""

    __slots__ = ("address", "begin", "depth", "flags", "kind", "name", "processor", "track")

    def __init__(self, kind: int, begin: int, depth: int, name: str, address: int) -> None:
        self.kind, self.begin, self.depth = kind, begin, depth
        self.name, self.address = name, address
        self.flags = self.track = self.processor = 0


class Recording:
    """The records of one machine; ``size`` of them are kept."""

    def __init__(self, k: Kernel, size: int) -> None:
        self._k = k
        self._ring: deque[Record] = deque(maxlen=size)
        #: Records since the beginning.
        self.total = 0
        #: What is added to the machine's time: it goes back where a snapshot is restored.
        self._shift = 0
        self._open: dict[Flow, list[_Open]] = {}
        self._running: dict[int, tuple[int, int]] = {}
        self._levels = [-1] * len(k.scheduler.processors)
        self._tracks: dict[int, dict[str, Any]] = {}
        self._numbers: dict[Flow, int] = {}
        self._modules: dict[int, dict[str, Any]] = {}
        self._stacks = CallStacks(k)

    @property
    def now(self) -> int:
        """The time of the trace, in units of 100 ns."""
        return self._k.now + self._shift

    def _add(self, record: Record) -> None:
        self._ring.append(record)
        self.total += 1

    def _moment(self, kind: int, name: str, value: int = 0, address: int = 0) -> None:
        k = self._k
        self._add(
            (
                *(k.now + self._shift, 0, value & _MASK, address, name),
                *(self._track(k.flow), 0, k.scheduler.current.number, kind, 0),
            )
        )

    def _mark(self, text: str) -> None:
        self._moment(Kind.MARK, text)

    def _track(self, flow: Flow) -> int:
        number = self._numbers.get(flow)
        if number is None:
            number = self._numbers[flow] = self._number(flow)
            if number not in self._tracks:
                self._tracks[number] = _described(flow)
        return number

    def _number(self, flow: Flow) -> int:
        if isinstance(flow, Thread):
            return flow.id
        scheduler = self._k.scheduler
        for p in scheduler.processors:
            if flow is p.dpc_flow:
                return DPC_TRACK + p.number
        isr = flow.name in _ISR_NAMES
        return (ISR_TRACK if isr else OTHER_TRACK) + scheduler.current.number

    # -- spans ----------------------------------------------------------------------------------

    def _begin(
        self,
        flow: Flow,
        kind: int,
        name: str,
        address: int,
        depth: int,
        flags: int = 0,
        begin: int | None = None,
    ) -> None:
        opened = _Open(kind, self.now if begin is None else begin, depth, name, address)
        opened.track, opened.flags = self._track(flow), flags
        opened.processor = self._k.scheduler.current.number
        self._open.setdefault(flow, []).append(opened)

    def _end(self, spans: list[_Open], value: int | None) -> None:
        span = spans.pop()
        flags = span.flags if value is not None else span.flags | Flag.GIVEN_UP
        self._add(
            (
                *(span.begin, max(0, self.now - span.begin), (value or 0) & _MASK, span.address),
                *(span.name, span.track, len(spans), span.processor, span.kind, flags),
            )
        )

    def _close_above(self, flow: Flow, depth: int, value: int | None) -> None:
        """End what was begun deeper than ``depth``; ``value`` is the outermost one's result."""
        spans = self._open.get(flow)
        while spans and spans[-1].depth > depth:
            outermost = len(spans) < 2 or spans[-2].depth <= depth
            self._end(spans, value if outermost else None)

    # -- processors -----------------------------------------------------------------------------

    def _level(self, level: int, number: int | None = None) -> None:
        if number is None:
            number = self._k.scheduler.current.number
        if self._levels[number] != level:
            self._levels[number] = level
            self._add((self.now, 0, level, 0, "", 0, 0, number, Kind.IRQL, 0))

    def _end_run(self, number: int, end: int) -> None:
        track, begin = self._running.pop(number, (0, -1))
        if begin >= 0:
            self._add((begin, max(0, end - begin), 0, 0, "", track, 0, number, Kind.RUN, 0))

    def _note_module(self, name: str, base: int, size: int) -> None:
        self._modules[base] = {"name": name, "base": base, "size": size}

    # -- out ------------------------------------------------------------------------------------

    def read(self) -> bytes:
        """What was recorded, as :mod:`kernellab.tracefile` has it."""
        still = self._open_records()
        names: dict[str, int] = {}
        packed = bytearray()
        for record in (*self._ring, *still):
            number = names.setdefault(record[4], len(names))
            packed += RECORD.pack(*record[:4], number, *record[5:])
        header = {
            "names": list(names),
            "tracks": {str(n): t for n, t in sorted(self._tracks.items())},
            "stacks": self._stacks.all(),
            "modules": list(self._modules.values()),
            "processors": len(self._levels),
            "time": self.now,
            "dropped": self.total - len(self._ring),
            "open": len(still),
        }
        return pack(header, bytes(packed))

    def _open_records(self) -> list[Record]:
        """What has not ended yet, as if it ended now."""
        now, found = self.now, []
        for number, (track, begin) in self._running.items():
            tail = ("", track, 0, number, int(Kind.RUN), int(Flag.OPEN))
            found.append((begin, max(0, now - begin), 0, 0, *tail))
        for spans in self._open.values():
            for depth, span in enumerate(spans):
                head = (span.begin, max(0, now - span.begin), 0, span.address, span.name)
                flags = span.flags | Flag.OPEN
                found.append((*head, span.track, depth, span.processor, span.kind, int(flags)))
        return found


def _described(flow: Flow) -> dict[str, Any]:
    """What is known of a thread, or of a processor's DPCs or interrupts."""
    if not isinstance(flow, Thread):
        return {"name": flow.name, "start": 0}
    process = flow.process
    return {
        "name": flow.name,
        "start": 0,
        "process": process.name,
        "pid": process.pid,
        "driver": flow.owner,
    }
