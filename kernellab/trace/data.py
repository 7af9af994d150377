"""A trace in Python: its bytes, read and given the names of the driver's own source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .. import ntdata
from ..errors import TargetLost
from ..tracefile import (
    DPC_TRACK,
    ISR_TRACK,
    OTHER_TRACK,
    RECORD,
    DamagedTrace,
    Flag,
    IrpStep,
    Kind,
    unpack,
)
from .places import Place, Places

if TYPE_CHECKING:
    from ..build.symbols import Symbols

#: Virtual time is counted in units of 100 ns; so many make a second.
UNITS: Final = 10_000_000

#: Kinds that have a duration.
SPANS: Final = frozenset({Kind.CALL, Kind.ROUTINE, Kind.SERVICE, Kind.RUN})

#: Asks whoever records for all there is; None where that still is so many records.
Source = Callable[[int], bytes | None]


class TraceEvent(NamedTuple):
    """One span or moment of a trace. Times are virtual: seconds since the machine's boot.

    ``kind`` is ``call`` (a routine of the kernel that a driver called), ``routine`` (one of a
    driver's that the kernel called), ``service`` (what the kernel did by itself) or ``run`` (a
    thread had the processor): these have a ``duration``. Moments are ``irql``, ``print``, ``irp``,
    ``pool``, ``bugcheck``, ``violation``, ``queued`` (a DPC) and ``mark``.

    ``name`` says of what: the routine, the printed text, the IRP's major function, the pool's
    tag. ``value`` is the result, the new IRQL, or how many bytes the tag has. ``result`` is that
    in words. ``track`` is what it ran on: a thread, or a processor's DPCs or interrupts.
    ``place`` is the line of the driver's own source: its ``file`` and ``line``.
    """

    kind: str
    name: str
    #: In units of 100 ns, exactly; see :attr:`time` and :attr:`duration`.
    begin: int
    length: int
    track: str
    track_id: int
    #: The process of its thread, 0 for what belongs to none.
    pid: int
    processor: int
    depth: int
    driver: str = ""
    value: int = 0
    result: str = ""
    address: int = 0
    place: Place | None = None
    #: Whether it had not ended when the trace was read.
    open: bool = False

    @property
    def time(self) -> float:
        """When it began, seconds since the machine's boot."""
        return self.begin / UNITS

    @property
    def duration(self) -> float:
        """How long it took, seconds; 0 for a moment."""
        return self.length / UNITS


@dataclass(frozen=True, slots=True)
class Track:
    """What things run on: a thread of a process, or what a processor does beside threads."""

    id: int
    name: str
    #: The process, 0 for what belongs to none.
    pid: int = 0
    process: str = ""


class Trace:
    """What ran on a machine, when, in virtual time, from ``target.start_trace()`` on.

    While it is recorded, each look at it shows what there is by then; ``recording`` says whether
    it still is. ``events`` are all of it in the order of time, ``spans`` those that take time.
    ``save("run.json")`` writes what ui.perfetto.dev and chrome://tracing open. In a notebook it
    shows itself: a picture and a summary. ``dropped`` events were let go because it was full.
    """

    def __init__(
        self, source: Source | None = None, symbols: Callable[[], Symbolized] | None = None
    ) -> None:
        self._source = source
        self._symbols = symbols
        self._data = b""
        self._total = -1
        self._header: dict[str, Any] = {}
        self._records = b""
        self._places = Places((), {})
        self._events: list[TraceEvent] | None = None

    # -- kept up by the target ------------------------------------------------------------------

    def _refresh(self) -> None:
        if self._source is None:
            return
        try:
            data = self._source(self._total)
        except TargetLost:
            self._source = None  # what there is stays
            return
        if data is not None:
            self._take(data)

    def _finish(self, data: bytes | None = None) -> None:
        """Nothing more will come."""
        if data is not None:
            self._take(data)
        self._source = None

    def _take(self, data: bytes) -> None:
        try:
            self._header, self._records = unpack(data)
        except DamagedTrace as error:
            raise TargetLost(f"the target's trace cannot be read: {error}") from None
        self._total = self.dropped + len(self._records) // RECORD.size - self._header["open"]
        images = self._symbols() if self._symbols is not None else {}
        self._places = Places(self._header["modules"], images)
        self._events = None

    # -- what is in it --------------------------------------------------------------------------

    @property
    def recording(self) -> bool:
        """Whether more comes in."""
        return self._source is not None

    @property
    def dropped(self) -> int:
        """Events that were let go, the oldest first, because the trace was full."""
        return int(self._header.get("dropped", 0))

    @property
    def version(self) -> int:
        """How many events there have been at the last look: grows where something happened."""
        return self._total

    @property
    def processors(self) -> int:
        """How many processors the machine has."""
        return int(self._header.get("processors", 0))

    @property
    def end(self) -> float:
        """When it was read or stopped, virtual seconds."""
        return self.end_units / UNITS

    @property
    def end_units(self) -> int:
        """The same in units of 100 ns."""
        return int(self._header.get("time", 0))

    @property
    def tracks(self) -> dict[int, Track]:
        """What things ran on, by the ``track_id`` of events, as of the last look at them."""
        given = self._header.get("tracks", {})
        return {int(number): self._track(int(number), about) for number, about in given.items()}

    @property
    def events(self) -> list[TraceEvent]:
        """All of it, in the order of time; of nested spans the outer one first."""
        self._refresh()
        if self._events is None:
            self._events = sorted(self._read(), key=_order)
        return self._events

    @property
    def spans(self) -> list[TraceEvent]:
        """What takes time: calls, routines, services, and what ran on the processors."""
        return [event for event in self.events if event.kind in _SPAN_NAMES]

    def __len__(self) -> int:
        self._refresh()
        return len(self._records) // RECORD.size

    def _read(self) -> Iterator[TraceEvent]:
        names: Sequence[str] = self._header.get("names", ())
        tracks = {number: (t.name, number, t.pid) for number, t in self.tracks.items()}
        stacks = [self._places.of_stack(stack) for stack in self._header.get("stacks", ())]
        nowhere: tuple[Place | None, str] = (None, "")
        results: dict[tuple[int, int], str] = {}  # most are a few ones
        call, routine, opened = int(Kind.CALL), int(Kind.ROUTINE), int(Flag.OPEN)
        # There can be millions: what is the same for many is made once.
        for record in RECORD.iter_unpack(self._records):
            begin, length, value, address, number, track, depth, processor, kind, flags = record
            name, driver, result, place = names[number], "", "", None
            if kind <= routine:
                if kind == call:
                    place, driver = stacks[address] if address < len(stacks) else nowhere
                else:
                    place, driver, function = self._places.of_routine(address)
                    known = function and name and function != name
                    name = f"{function} ({name})" if known else function or name
                known_result = results.get((value, flags))
                if known_result is None:
                    known_result = results[value, flags] = _result(value, flags)
                result = known_result
            elif kind >= Kind.PRINT:
                if kind == Kind.IRP:
                    result = _irp_result(value)
                elif kind == Kind.BUGCHECK:
                    result = f"{value:#x}"
                elif kind == Kind.QUEUED:
                    place, driver, name = self._places.of_routine(value)
                elif kind in (Kind.PRINT, Kind.VIOLATION):
                    driver, _, name = name.partition("\n")
            on = tracks.get(track) or ("", track, 0)
            head = _KINDS.get(kind, "mark"), name, begin, length
            tail = driver, value, result, address, place, bool(flags & opened)
            yield TraceEvent._make((*head, *on, processor, depth, *tail))

    def _track(self, number: int, about: Mapping[str, Any]) -> Track:
        for base, what in ((DPC_TRACK, "DPCs"), (ISR_TRACK, "interrupts"), (OTHER_TRACK, "other")):
            if number >= base:
                return Track(number, f"CPU {number - base} {what}")
        process, pid = str(about.get("process", "")), int(about.get("pid", 0))
        start = int(about.get("start", 0))
        name = f"thread {number}"
        own = self._places.of_routine(start)[2] if start else ""
        if own:
            name = f"{name} {own}"
        elif about.get("driver"):
            name = f"{name} of {about['driver']}"
        elif about.get("name") in _NAMED:
            name = f"{name} {_NAMED[str(about['name'])]}"
        return Track(number, name, pid, process)

    # -- out ------------------------------------------------------------------------------------

    def to_chrome(self) -> dict[str, Any]:
        """The trace as an object of the Trace Event Format: what :meth:`save` writes."""
        from .chrome import to_chrome

        return to_chrome(self)

    def save(self, path: str | Path) -> Path:
        """Write it as Trace Event JSON, for ui.perfetto.dev or chrome://tracing.

        Raises UsageError where that cannot be written.
        """
        from .chrome import save

        return save(self, Path(path))

    @property
    def summary(self) -> str:
        """A few lines on it: what was called most, the highest IRQL, the threads."""
        from .summary import summary

        return summary(self)

    @property
    def svg(self) -> str:
        """A picture of it, small, for light and dark grounds."""
        from .picture import picture

        return picture(self)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"image/svg+xml": self.svg, "text/plain": self.summary}

    def __repr__(self) -> str:
        state = "recording" if self.recording else "stopped"
        lost = f", {self.dropped} dropped" if self.dropped else ""
        return f"<Trace: {len(self)} events{lost}, {state}>"


#: Symbols of images, by name.
Symbolized = Mapping[str, "Symbols"]

_KINDS: Final = {int(kind): kind.name.lower() for kind in Kind}
_SPAN_NAMES: Final = frozenset(kind.name.lower() for kind in SPANS)
_NAMED: Final = {"ExpWorkerThread": "worker", "KiExecuteDpc": "threaded DPCs"}


def _order(event: TraceEvent) -> tuple[int, int, int]:
    return event.begin, -event.length, event.depth


def _result(value: int, flags: int) -> str:
    if flags & Flag.GIVEN_UP:
        return "did not return"
    if flags & (Flag.VOID | Flag.OPEN):
        return ""
    if flags & Flag.STATUS:
        return ntdata.status_name(value & 0xFFFF_FFFF)
    return f"{value:#x}"


def _irp_result(value: int) -> str:
    step, status = IrpStep(value & 0xFF), value >> 8
    word = step.name.lower()
    return f"{word} {ntdata.status_name(status)}" if step is IrpStep.COMPLETED else word
