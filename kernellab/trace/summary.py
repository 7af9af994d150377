"""A trace in a few lines of text."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .data import Trace, TraceEvent

#: How many routines and threads are named.
_MOST: Final = 8

_LEVELS: Final = {0: "PASSIVE_LEVEL", 1: "APC_LEVEL", 2: "DISPATCH_LEVEL", 14: "IPI_LEVEL"}


def level_name(level: int) -> str:
    """An IRQL by its name: ``DISPATCH_LEVEL (2)``; those of devices are ``DIRQL 5``."""
    return f"{_LEVELS[level]} ({level})" if level in _LEVELS else f"DIRQL {level}"


def duration(units: int) -> str:
    """A time in units of 100 ns as a person reads it."""
    if units < 10_000:
        return f"{units / 10:g} us"
    if units < 10_000_000:
        return f"{units / 10_000:.4g} ms"
    seconds = units / 10_000_000
    return f"{seconds:.4g} s" if seconds < 1000 else f"{seconds:,.1f} s"


def summary(trace: Trace) -> str:
    """What was called most, the highest IRQL, the threads, and what went wrong."""
    events = trace.events
    if not events:
        return "the trace is empty: nothing ran since it was started"
    begin = min(event.begin for event in events)
    lost = f", {trace.dropped:,} older ones dropped" if trace.dropped else ""
    lines = [
        f"{len(events):,} events{lost}, from {duration(begin)} to {duration(trace.end_units)}"
        " of virtual time"
    ]
    lines += _calls(events)
    levels = [(event.value, event) for event in events if event.kind == "irql"]
    if levels:
        highest, where = max(levels, key=lambda each: each[0])
        lines.append(f"highest IRQL: {level_name(highest)}, at {duration(where.begin)}")
    lines += _threads(events)
    counts = Counter(event.kind for event in events)
    lines.append(
        f"lines printed: {counts['print']:,}"
        + (f"; verifier reports: {counts['violation']:,}" if counts["violation"] else "")
    )
    for event in events:
        if event.kind == "bugcheck":
            lines.append(f"bug check {event.name} at {duration(event.begin)}")
    return "\n".join(lines)


def _calls(events: list[TraceEvent]) -> list[str]:
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for event in events:
        if event.kind == "call":
            entry = found[event.name]
            entry[0] += 1
            entry[1] += event.length
    if not found:
        return []
    top = sorted(found.items(), key=lambda each: (-each[1][0], -each[1][1], each[0]))
    width = max(len(name) for name, _ in top[:_MOST])
    lines = [f"{sum(c for c, _ in found.values()):,} calls into the kernel, most often:"]
    lines += [
        f"  {name:{width}}  {count:>9,} x  {duration(units)}"
        for name, (count, units) in top[:_MOST]
    ]
    return lines


def _threads(events: list[TraceEvent]) -> list[str]:
    ran: dict[str, int] = defaultdict(int)
    for event in events:
        if event.kind == "run":
            ran[event.track] += event.length
    top = sorted(ran.items(), key=lambda each: (-each[1], each[0]))
    more = f", and {len(top) - _MOST} more" if len(top) > _MOST else ""
    named = ", ".join(f"{name} ({duration(units)})" for name, units in top[:_MOST])
    return [f"threads: {named}{more}"] if top else []
