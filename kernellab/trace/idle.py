"""Idle time squeezed: virtual time jumps from one timer to the next, and little happens between."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .data import TraceEvent

#: A gap is drawn at most as long as this part of all time in which something ran; shorter ones as
#: they are. Where less than half of the time is idle, none is squeezed.
_GAP: Final = 0.04


class Squeezed:
    """From times to places and back; ``gaps`` are those that are squeezed, as places."""

    def __init__(self, events: Sequence[TraceEvent], begin: int, end: int) -> None:
        self.gaps: list[tuple[float, float]] = []
        self._times: list[float] = [begin]
        self._places: list[float] = [0.0]
        gaps = _gaps(events, begin, end)
        idle = sum(to - since for since, to in gaps)
        longest = max(end - begin - idle, 10) * _GAP
        cut = float(begin)
        if idle * 2 > end - begin:
            for since, to in gaps:
                if to - since > longest:
                    self._times += [since, to]
                    self._places += [since - cut, since - cut + longest]
                    self.gaps.append((self._places[-2], self._places[-1]))
                    cut += to - since - longest
        self._times.append(max(end, begin + 1))
        self._places.append(max(end, begin + 1) - cut)

    @property
    def length(self) -> float:
        """The last place; the first is 0."""
        return self._places[-1]

    def place(self, time: float) -> float:
        """Where a time is."""
        return _between(self._times, self._places, time)

    def time(self, place: float) -> int:
        """Which time is at a place."""
        return round(_between(self._places, self._times, place))


def _gaps(events: Sequence[TraceEvent], begin: int, end: int) -> list[tuple[int, int]]:
    """Where no thread, DPC or interrupt ran and nothing else happened; events are in order."""
    found, reached = [], begin
    for event in events:
        if event.begin > reached:
            found.append((reached, event.begin))
        runs = event.kind == "run" or (event.kind == "service" and not event.pid)
        reached = max(reached, event.begin + event.length if runs else event.begin)
    if end > reached:
        found.append((reached, end))
    return found


def _between(known: Sequence[float], values: Sequence[float], at: float) -> float:
    index = min(max(bisect_right(known, at) - 1, 0), len(known) - 2)
    span = known[index + 1] - known[index]
    part = min(max((at - known[index]) / span, 0.0), 1.0) if span else 0.0
    return values[index] + part * (values[index + 1] - values[index])
