"""A trace as a small picture: for saved notebooks, and where nothing interactive is shown.

JupyterLab shows SVG as an image, in which the page's colours are not known: greys that read on
light and on dark grounds, and shapes that differ rather than colours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from .idle import Squeezed
from .summary import duration, level_name

if TYPE_CHECKING:
    from .data import Trace, TraceEvent

_INK: Final = "#808080"
_WIDTH, _LEFT, _RIGHT, _ROW = 720, 190, 10, 22
#: Into how many steps time is divided: the first of these with which it is small enough, bytes.
_STEPS: Final = (260, 130, 65, 30, 12)
_SMALL: Final = 9_500
_LANES: Final = 10
_GAPS: Final = 60
_DISPATCH: Final = 2
_TICKS: Final = 4


def picture(trace: Trace) -> str:
    """The picture's SVG: IRQL of each processor, each thread's time, prints, bug checks."""
    events = trace.events
    if not events:
        return _svg(_ROW, ['<text x="8" y="15">the trace is empty</text>'], "An empty trace")
    begin = min(event.begin for event in events)
    drawn, squeezed = "", Squeezed(events, begin, trace.end_units)
    for steps in _STEPS:
        drawn = _draw(trace, events, _Scale(squeezed, steps))
        if len(drawn.encode()) <= _SMALL:
            break
    return drawn


def _draw(trace: Trace, events: Sequence[TraceEvent], scale: _Scale) -> str:
    rows: list[tuple[str, str]] = []
    for number in range(trace.processors):
        own = [e for e in events if e.kind == "irql" and e.processor == number]
        highest = max((e.value for e in own), default=0)
        if highest or number == 0:
            name = level_name(highest).partition(" ")[0].removesuffix("_LEVEL")
            if highest > _DISPATCH:
                name = f"DIRQL {highest}"
            rows.append((f"IRQL CPU {number}, to {name}", _steps(own, scale, highest)))
    rows += _tracks(events, scale)
    prints = [e.begin for e in events if e.kind == "print"]
    if prints:
        rows.append((f"prints ({len(prints):,})", _ticks(prints, scale, 5, 17)))
    wrong = [e.begin for e in events if e.kind in ("bugcheck", "violation")]
    if wrong:
        rows.append(("bug check, verifier", _ticks(wrong, scale, 2, 20, 2)))
    parts = []
    for index, (label, shape) in enumerate(rows):
        parts.append(f'<g transform="translate(0 {index * _ROW})">{_label(label)}{shape}</g>')
    bottom = len(rows) * _ROW
    parts = [_gaps(scale, bottom), *parts, *_axis(scale, bottom)]
    return _svg(bottom + 20, parts, f"Timeline: {trace.summary.splitlines()[0]}")


class _Scale:
    """From time to the picture's steps: what lies in one step is drawn as one."""

    def __init__(self, squeezed: Squeezed, steps: int) -> None:
        self.squeezed, self.steps = squeezed, steps

    def step(self, at: int) -> int:
        place = self.squeezed.place(at) / self.squeezed.length
        return max(0, min(self.steps, round(place * self.steps)))

    def time(self, step: int) -> int:
        return self.squeezed.time(step * self.squeezed.length / self.steps)

    def x(self, step: int) -> str:
        return f"{_LEFT + step * (_WIDTH - _LEFT - _RIGHT) / self.steps:.3g}"


def _gaps(scale: _Scale, bottom: int) -> str:
    """Idle time that is drawn short."""
    places, length = scale.squeezed, _WIDTH - _LEFT - _RIGHT
    boxes = [
        f"M{_LEFT + since * length / places.length:.4g} 0V{bottom}"
        f"H{_LEFT + to * length / places.length:.4g}V0z"
        for since, to in places.gaps[:_GAPS]
    ]
    return f'<path d="{"".join(boxes)}" fill="{_INK}" fill-opacity=".12" stroke="none"/>'


def _steps(events: Sequence[TraceEvent], scale: _Scale, top: int) -> str:
    """The IRQL as a line; where it changes within a step, its highest there."""
    highest: dict[int, int] = {}
    last: dict[int, int] = {}
    for event in events:
        at = scale.step(event.begin)
        highest[at] = max(highest.get(at, 0), event.value)
        last[at] = event.value
    path, level = [f"M{scale.x(0)} {_y(0, top)}"], 0
    for at in sorted(highest):
        x = scale.x(at)
        path.append(f"H{x}V{_y(highest[at], top)}")
        level = last[at]
        if level != highest[at]:
            path.append(f"V{_y(level, top)}")
    path.append(f"H{scale.x(scale.steps)}")
    return f'<path d="{"".join(path)}" fill="none"/>'


def _y(level: int, top: int) -> int:
    """Where a level is drawn in its row, whose highest is ``top``."""
    return 18 - round(14 * level / max(top, 1))


def _tracks(events: Sequence[TraceEvent], scale: _Scale) -> Iterable[tuple[str, str]]:
    """When each thread ran, and what the processors did beside threads; the busiest ones."""
    spans: dict[str, list[TraceEvent]] = {}
    for event in events:
        if event.kind == "run" or (event.kind == "service" and not event.pid):
            spans.setdefault(event.track, []).append(event)
    busiest = sorted(spans, key=lambda name: (-sum(e.length for e in spans[name]), name))
    for name in [name for name in spans if name in busiest[:_LANES]]:
        yield name, _bars(spans[name], scale)
    if len(busiest) > _LANES:
        yield f"and {len(busiest) - _LANES} more", ""


def _bars(spans: Iterable[TraceEvent], scale: _Scale) -> str:
    merged: list[list[int]] = []
    for span in spans:
        begin, end = scale.step(span.begin), scale.step(span.begin + span.length)
        if merged and begin <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([begin, end])
    # What takes no time is seen as a thin stroke.
    boxes = (
        f"M{scale.x(begin)} 6V17H{scale.x(end) if end > begin else scale.x(begin)}V6z"
        for begin, end in merged
    )
    return f'<path d="{"".join(boxes)}" fill="{_INK}" fill-opacity=".45"/>'


def _ticks(times: Iterable[int], scale: _Scale, top: int, bottom: int, width: int = 1) -> str:
    steps = sorted({scale.step(at) for at in times})
    path = "".join(f"M{scale.x(step)} {top}V{bottom}" for step in steps)
    return f'<path d="{path}" fill="none" stroke-width="{width}"/>'


def _label(text: str) -> str:
    short = text if len(text) <= 30 else f"{text[:29]}…"
    return f'<text x="{_LEFT - 8}" y="16" text-anchor="end">{escape(short)}</text>'


def _axis(scale: _Scale, bottom: int) -> list[str]:
    parts = [f'<path d="M{_LEFT} {bottom + 1}H{_WIDTH - _RIGHT}" fill="none" stroke-opacity=".5"/>']
    for index in range(_TICKS + 1):
        x = scale.x(index * scale.steps // _TICKS)
        at = scale.time(index * scale.steps // _TICKS)
        anchor = ("start", "middle", "end")[(index > 0) + (index == _TICKS)]
        parts.append(
            f'<text x="{x}" y="{bottom + 15}" text-anchor="{anchor}">{duration(at)}</text>'
        )
    return parts


def _svg(height: int, parts: Sequence[str], title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        f' width="{_WIDTH}" height="{height}" role="img" stroke="{_INK}"'
        f' font-family="sans-serif" font-size="11"><title>{escape(title)}</title>'
        f"<style>text{{fill:{_INK};stroke:none}}</style>{''.join(parts)}</svg>"
    )
