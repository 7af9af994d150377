"""Places in the user's source and call stacks, as static HTML that the front end can act on.

``kernellab-go`` is around a place such as ``cell:7:13``, which the live pane makes a link.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from ..protocol import Frame, RelatedStack
from .text import CELL, MOST_FRAMES, Source, excerpt, is_user, one_line, text_of

#: Frames that are open; the rest is folded.
OPEN_FRAMES: Final = 12


def link_places(html: str, source: Source) -> str:
    """``html`` with each place in the user's own files marked; only its text has such."""
    files = [CELL, *(source if isinstance(source, Mapping) else ())]
    names = "|".join(re.escape(escape(name)) for name in dict.fromkeys(files))
    place = re.compile(rf"(?<![\w/.\\-])(?:{names}):\d+(?::\d+)?(?![\w:])")
    return place.sub(lambda match: go(match[0]), html)


def go(place: str) -> str:
    """A place (escaped already) that the front end can go to."""
    return f'<span class="kernellab-go">{place}</span>'


def render_place(frame: Frame, source: Source) -> str:
    """Where in the user's source a frame is, with the line and two around it where known."""
    where = f"Line {frame.line} of your {'cell' if frame.file == CELL else 'code'}"
    if frame.file != CELL:
        where += f" ({escape(one_line(frame.file))})"
    place = escape(one_line(f"{frame.file}:{frame.line}"))
    known = text_of(source, frame.file)
    at = f' class="kernellab-at" title="{place}"' if known is not None else ""
    out = f"<div{at}>{where}</div>"
    lines = excerpt(known, frame.line) if known is not None else []
    if not lines:
        return out
    width = len(str(lines[-1][0]))
    rendered = []
    for number, text in lines:
        here = number == frame.line
        row = f"{'→' if here else ' '} {number:>{width}} │ {escape(text)}"
        rendered.append(f'<strong class="kl-here">{row}</strong>' if here else row)
    return out + "<pre>" + "\n".join(rendered) + "</pre>"


def render_frames(frames: Sequence[Frame], source: Source = None) -> str:
    """A call stack; the user's own frames stand out, by weight and by a mark; long ones fold."""
    items = [_frame(frame, source) for frame in frames[:MOST_FRAMES]]
    if len(frames) > MOST_FRAMES:
        items.append(f"<li>… and {len(frames) - MOST_FRAMES} more</li>")
    first, rest = items[:OPEN_FRAMES], items[OPEN_FRAMES:]
    out = f'<ol start="0" class="kl-stack">{"".join(first)}</ol>'
    if rest:
        out += (
            f"<details><summary>Show all {len(frames)}</summary>"
            f'<ol start="{OPEN_FRAMES}" class="kl-stack">{"".join(rest)}</ol></details>'
        )
    return out


def _frame(frame: Frame, source: Source) -> str:
    own = is_user(frame, source)
    name = escape(one_line(frame.function or f"{frame.module or '?'}+{frame.rva:#x}"))
    known = bool(frame.file and frame.line)
    place = escape(one_line(f"{frame.file}:{frame.line}" if known else frame.module))
    if own and known:
        place = go(place)
    tail = f" {place}" if place else ""
    if frame.inlined:
        tail += " (inlined)"
    if own:
        return f"<li><strong>▸ <code>{name}</code>{tail}</strong></li>"
    dim = "" if known else ' class="kl-dim"'
    return f"<li{dim}><code>{name}</code>{tail}</li>"


def render_related(related: Sequence[RelatedStack], source: Source = None) -> str:
    """Stacks of earlier moments that matter, each folded under what happened there."""
    out = []
    for stack in related:
        own = next((f for f in stack.frames if is_user(f, source) and f.line), None)
        where = f" (line {own.line})" if own is not None else ""
        frames = render_frames(stack.frames, source)
        label = escape(one_line(stack.label)) + where
        out.append(f"<details><summary>{label}</summary>{frames}</details>")
    return "".join(out)


def render_stack(frames: Sequence[Frame], source: Source = None) -> str:
    """A call stack, folded; empty where there is none."""
    if not frames:
        return ""
    inner = render_frames(frames, source)
    return f"<details><summary>Call stack</summary>{inner}</details>"
