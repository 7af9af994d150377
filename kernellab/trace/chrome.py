"""A trace as Trace Event JSON, the format that chrome://tracing and Perfetto read.

"Trace Event Format" (Google): complete events (``X``) for spans, instants (``i``), counters
(``C``), flow events (``s``, ``t``, ``f``), nestable asynchronous events (``b``, ``n``, ``e``), and
metadata (``M``). Times are microseconds. Each process and thread of the machine is one of the
trace; the processors are threads of a process of their own, which shows what ran on them.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .. import __version__
from ..errors import UsageError
from ..tracefile import DPC_TRACK, ISR_TRACK, OTHER_TRACK, IrpStep

if TYPE_CHECKING:
    from .data import Trace, TraceEvent

Fields = dict[str, Any]

#: The trace's processes that are none of the machine: NT's numbers are multiples of 4.
_PROCESSORS, _IRPS, _POOL = 1, 2, 3
#: Threads of the process of processors, for each: what runs, DPCs, interrupts, the rest.
_STEP: Final = 4
_PER_UNIT: Final = 10


def to_chrome(trace: Trace) -> Fields:
    """The object that :func:`save` writes."""
    events = trace.events
    found = [*_metadata(trace)]
    for event in events:
        found += _of(event)
    found += _irps(events, trace.end_units)
    found += _dpcs(events)
    return {
        "traceEvents": found,
        "displayTimeUnit": "ns",
        "otherData": {
            "producer": f"kernellab {__version__}",
            "clock": "virtual time since the machine's boot",
            "dropped": trace.dropped,
        },
    }


def save(trace: Trace, path: Path) -> Path:
    """Write it to ``path``, whole or not at all."""
    text = json.dumps(to_chrome(trace), separators=(",", ":"))
    part = path.with_name(f"{path.name}.part")
    try:
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"the trace cannot be written to {path}: {error.strerror or error}"
        ) from error
    return path


# -- where things are ------------------------------------------------------------------------------


def _place(event: TraceEvent) -> tuple[int, int]:
    """Process and thread of what ran on a track."""
    number = event.track_id
    for base, offset in ((DPC_TRACK, 1), (ISR_TRACK, 2), (OTHER_TRACK, 3)):
        if number >= base:
            return _PROCESSORS, (number - base) * _STEP + offset + 1
    return event.pid or _PROCESSORS, number


def _on_processor(event: TraceEvent) -> tuple[int, int]:
    return _PROCESSORS, event.processor * _STEP + 1


def _metadata(trace: Trace) -> Iterator[Fields]:
    def named(kind: str, name: str, pid: int, tid: int = 0) -> Fields:
        return {"ph": "M", "name": kind, "pid": pid, "tid": tid, "args": {"name": name}}

    def placed(kind: str, index: int, pid: int, tid: int = 0) -> Fields:
        return {"ph": "M", "name": kind, "pid": pid, "tid": tid, "args": {"sort_index": index}}

    for index, (pid, name) in enumerate(
        ((_PROCESSORS, "Processors"), (_IRPS, "IRPs"), (_POOL, "Pool by tag"))
    ):
        yield named("process_name", name, pid)
        yield placed("process_sort_index", index, pid)
    tracks = trace.tracks
    for number in range(trace.processors):
        tid = number * _STEP + 1
        yield named("thread_name", f"CPU {number}", _PROCESSORS, tid)
        yield placed("thread_sort_index", tid, _PROCESSORS, tid)
        for offset, base, what in (
            (1, DPC_TRACK, "DPCs"),
            (2, ISR_TRACK, "interrupts"),
            (3, OTHER_TRACK, "other"),
        ):
            if base + number in tracks:
                yield named("thread_name", f"CPU {number} {what}", _PROCESSORS, tid + offset)
                yield placed("thread_sort_index", tid + offset, _PROCESSORS, tid + offset)
    processes: dict[int, str] = {}
    for track in tracks.values():
        if track.pid:
            processes[track.pid] = track.process
            yield named("thread_name", track.name, track.pid, track.id)
    for pid, name in processes.items():
        yield named("process_name", name, pid)
        yield placed("process_sort_index", _POOL + pid, pid)


# -- events ----------------------------------------------------------------------------------------


def _time(units: int) -> float:
    return units / _PER_UNIT


def _event(phase: str, name: str, place: tuple[int, int], at: int, **more: Any) -> Fields:
    return {"ph": phase, "name": name, "pid": place[0], "tid": place[1], "ts": _time(at), **more}


def _args(event: TraceEvent) -> Fields:
    args: Fields = {}
    if event.driver:
        args["driver"] = event.driver
    if event.place is not None:
        args["line"] = str(event.place)
        if event.place.function:
            args["in"] = event.place.function
    if event.result:
        args["result"] = event.result
    if event.open:
        args["unfinished"] = True
    return args


def _of(event: TraceEvent) -> Iterable[Fields]:
    kind = event.kind
    if kind == "run":
        name = event.track
        yield _span(event, name, _on_processor(event))
    elif kind in ("call", "routine", "service"):
        yield _span(event, event.name, _place(event))
    elif kind == "irql":
        name = f"IRQL of CPU {event.processor}"
        yield _event(
            "C", name, (_PROCESSORS, 0), event.begin, cat="irql", args={"IRQL": event.value}
        )
    elif kind == "pool":
        args = {"bytes": event.value}
        yield _event("C", f"pool {event.name}", (_POOL, 0), event.begin, cat="pool", args=args)
    elif kind in ("print", "bugcheck", "violation", "mark"):
        scope = "g" if kind == "bugcheck" else "t"
        name = f"bug check {event.name}" if kind == "bugcheck" else event.name
        yield _event("i", name, _place(event), event.begin, cat=kind, s=scope, args=_args(event))


def _span(event: TraceEvent, name: str, place: tuple[int, int]) -> Fields:
    args = {**_args(event), "processor": event.processor}
    return _event("X", name, place, event.begin, cat=event.kind, dur=_time(event.length), args=args)


def _irps(events: list[TraceEvent], end: int) -> Iterator[Fields]:
    """Each IRP's way: a bar from where it was sent first to its completion, and arrows."""
    live: dict[int, tuple[str, str]] = {}
    count = 0
    for event in events:
        if event.kind != "irp":
            continue
        step, known = event.value & 0xFF, live.get(event.address)
        if step == IrpStep.SENT and known is None:
            count += 1
            known = live[event.address] = f"irp{count}", event.name
            yield _async("b", known, event.begin, {"irp": f"{event.address:#x}"})
            yield _flow("s", known, event)
        elif known is None:
            continue
        elif step == IrpStep.COMPLETED:
            yield _flow("f", known, event)
            yield _async("e", known, event.begin, {"result": event.result})
            del live[event.address]
        elif step != IrpStep.FREED:
            yield _async("n", known, event.begin, {"step": event.result})
            yield _flow("t", known, event)
    for known in live.values():
        yield _async("e", known, end, {"unfinished": True})


def _async(phase: str, known: tuple[str, str], at: int, args: Fields) -> Fields:
    return _event(phase, known[1], (_IRPS, 0), at, cat="irp", id=known[0], args=args)


def _flow(phase: str, known: tuple[str, str], event: TraceEvent) -> Fields:
    """An arrow's end, inside of the span that it belongs to rather than where that ends."""
    more = {"bp": "e"} if phase == "f" else {}
    made = _event(phase, known[1], _place(event), event.begin, cat="irp-flow", id=known[0], **more)
    if phase != "s":
        made["ts"] = max(0.0, round(made["ts"] - 0.5 / _PER_UNIT, 3))
    return made


def _dpcs(events: list[TraceEvent]) -> Iterator[Fields]:
    """An arrow from where a DPC was queued to its run."""
    queued: dict[int, deque[TraceEvent]] = {}
    for event in events:
        if event.kind == "queued" and event.track_id:
            queued.setdefault(event.value, deque()).append(event)
    count = 0
    for run in events:
        if run.kind != "routine":
            continue
        waiting = queued.get(run.address)
        if not waiting or waiting[0].begin > run.begin:
            continue
        asked = waiting.popleft()
        count += 1
        for phase, at, more in (("s", asked, {}), ("f", run, {"bp": "e"})):
            number = f"dpc{count}"
            yield _event(phase, run.name, _place(at), at.begin, cat="dpc-flow", id=number, **more)
