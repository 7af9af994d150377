"""A trace as columns of numbers: what the pane's timeline draws, without a look at each event.

Texts are sent once and referred to by number. All columns have one number for each event, in the
order of time.
"""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING, Any, Final

from ..pane.text import one_line
from ..tracefile import OTHER_TRACK, Kind

if TYPE_CHECKING:
    from .data import Trace, TraceEvent

#: What a view is given at most: the newest events.
MOST: Final = 500_000

#: Characters of a name: there can be many.
_NAME: Final = 200

#: The columns: their names, and the type codes of :mod:`array`.
COLUMNS: Final = (
    ("begin", "d"),
    ("length", "d"),
    ("value", "d"),
    ("name", "I"),
    ("detail", "I"),
    ("where", "I"),
    ("object", "I"),
    ("track", "H"),
    ("depth", "H"),
    ("processor", "B"),
    ("kind", "B"),
    ("open", "B"),
)

_NUMBERS: Final = {kind.name.lower(): int(kind) for kind in Kind}


class _Texts:
    """Texts by number; the empty one is 0."""

    def __init__(self) -> None:
        self.numbers: dict[Any, int] = {"": 0}

    def of(self, text: Any) -> int:
        return self.numbers.setdefault(text, len(self.numbers))


def columns(trace: Trace) -> tuple[dict[str, Any], list[bytes]]:
    """What the view is told of the trace, and its columns' bytes, little endian."""
    events = trace.events
    left_out = max(0, len(events) - MOST)
    shown = events[left_out:]
    names, details, places, objects = _Texts(), _Texts(), _Texts(), _Texts()
    used = {event.track_id for event in shown}
    tracks = [track for track in trace.tracks.values() if track.id in used]
    number_of = {track.id: number + 1 for number, track in enumerate(tracks)}
    made = [array(code) for _, code in COLUMNS]
    adders = [column.append for column in made]
    for event in shown:
        place = event.place
        row = (
            event.begin,
            event.length,
            event.value & 0xFF if event.kind == "irp" else _small(event),
            names.of(event.name),
            details.of(event.result),
            0 if place is None else places.of((place.file, place.line)),
            objects.of(event.address) if event.kind == "irp" else 0,
            number_of.get(event.track_id, 0),
            event.depth,
            event.processor,
            _NUMBERS[event.kind],
            event.open,
        )
        for add, value in zip(adders, row, strict=True):
            add(value)
    head = {
        "columns": [[name, code] for name, code in COLUMNS],
        "count": len(shown),
        "names": [one_line(name)[:_NAME] for name in names.numbers],
        "details": list(details.numbers),
        "places": [["", 0], *(list(place) for place in list(places.numbers)[1:])],
        "tracks": [["", "", False], *([t.name, t.process, t.id < OTHER_TRACK] for t in tracks)],
        "processors": trace.processors,
        "end": trace.end_units,
        "dropped": trace.dropped + left_out,
        "recording": trace.recording,
    }
    if sys.byteorder != "little":
        for column in made:
            column.byteswap()
    return head, [column.tobytes() for column in made]


def _small(event: TraceEvent) -> int:
    """Values that are drawn: levels and bytes of pool."""
    return event.value if event.kind in ("irql", "pool") else 0
