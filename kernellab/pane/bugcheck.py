"""The blue screen, readable: what happened, where in the cell, how it came there.

The HTML is the same in a live pane and in a saved notebook: no script, all text escaped, the
colours inline and in pairs, and plain elements where a code host strips the styles.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ..protocol import BugcheckEvent, Frame, RelatedStack
from .codes import explain, meanings, page
from .text import (
    CELL,
    MOST_FRAMES,
    Source,
    advice,
    code_text,
    excerpt,
    is_user,
    one_line,
    stopped_at,
    text_of,
)

_BOX = "border:1px solid #0a50a1;border-radius:3px;margin:6px 0;overflow:hidden"
_BAND = "background:#0a50a1;color:#ffffff;padding:10px 14px"
_BODY = "padding:8px 14px"
_MONO = "font-family:var(--jp-code-font-family,monospace);font-size:12px"
_LINE = "background:#ffd9d6;color:#5c0a04;font-weight:bold"
_USER = "font-weight:bold"
_CAPTION = "margin:8px 0 2px 0"


def render_bugcheck(
    event: BugcheckEvent,
    source: Source = None,
    *,
    last_words: str = "",
    log: Sequence[str] = (),
) -> str:
    """A bug check as static HTML.

    With ``source`` the user's innermost frame is shown with two lines of context.
    ``last_words`` is what a panic said, ``log`` the last lines before. Frames are innermost first.
    """
    code, name = escape(code_text(event.code)), escape(one_line(event.name))
    message = escape(one_line(event.message)) or "The driver stopped the machine."
    own = stopped_at(event.frames, source, last_words)
    said = escape(one_line(last_words))
    parts = [
        f'<div class="kernellab-bugcheck" role="group" aria-label="Bug check {name}"'
        f' style="{_BOX}">',
        f'<div style="{_BAND}"><div style="font-size:11px;letter-spacing:.08em">BUG CHECK</div>',
        f'<div style="font-size:16px"><strong>{name or "UNKNOWN"}</strong> <code'
        f' style="background:#0a50a1;color:#ffffff">{code}</code></div>',
        f'<div style="margin-top:4px">{message}</div>',
        f'<div style="margin-top:4px"><strong>{said}</strong></div>' if said else "",
        f'<div style="margin-top:4px">{escape(advice(own, source))}</div></div>',
        f'<div style="{_BODY}">',
    ]
    if own is not None:
        parts.append(render_place(own, source))
    if event.frames:
        parts.append(f'<div style="{_CAPTION}">Call stack, innermost first</div>')
        parts.append(render_frames(event.frames, source))
    parts.append(render_related(event.related, source))
    if event.parameters:
        parts.append(f'<div style="{_CAPTION}">Parameters</div><ol style="{_MONO};margin:0">')
        named = zip(event.parameters, meanings(event.code, len(event.parameters)), strict=True)
        for value, meaning in named:
            tail = f" {escape(meaning)}" if meaning else ""
            parts.append(f"<li><code>{escape(one_line(value))}</code>{tail}</li>")
        parts.append("</ol>")
    parts.append(_cause(event))
    if log:
        lines = escape("\n".join(one_line(line) for line in log))
        parts.append(
            '<details style="margin-top:8px"><summary>Last lines of the log</summary>'
            f'<pre style="{_MONO};margin:2px 0;overflow:auto">{lines}</pre></details>'
        )
    parts.append(_registers(event))
    parts.append("</div></div>")
    return "".join(parts)


def _cause(event: BugcheckEvent) -> str:
    found = explain(event.code)
    if found is None:
        return ""
    title = escape(page(event.code, one_line(event.name)))
    return (
        f'<div style="{_CAPTION}">The usual cause</div><div>{escape(found.cause)}</div>'
        f'<div>To read: Microsoft, "{title}"</div>'
    )


def render_place(frame: Frame, source: Source) -> str:
    """Where in the user's source a frame is, with the line and two around it where known."""
    where = f"Line {frame.line} of your {'cell' if frame.file == CELL else 'code'}"
    if frame.file != CELL:
        where += f" ({escape(one_line(frame.file))})"
    out = f'<div style="{_CAPTION}">{where}</div>'
    text = text_of(source, frame.file)
    lines = excerpt(text, frame.line) if text is not None else []
    if not lines:
        return out
    width = len(str(lines[-1][0]))
    rendered = []
    for number, text in lines:
        here = number == frame.line
        row = f"{'→' if here else ' '} {number:>{width}} │ {escape(text)}"
        rendered.append(f'<strong style="{_LINE}">{row}</strong>' if here else row)
    pre = f"{_MONO};margin:2px 0;padding:4px 8px;overflow:auto;line-height:1.45"
    return out + f'<pre style="{pre}">' + "\n".join(rendered) + "</pre>"


def render_frames(frames: Sequence[Frame], source: Source = None) -> str:
    """A call stack; the user's own frames stand out, by weight and by a mark."""
    items = []
    for frame in frames[:MOST_FRAMES]:
        name = escape(one_line(frame.function or f"{frame.module or '?'}+{frame.rva:#x}"))
        place = f"{frame.file}:{frame.line}" if frame.file and frame.line else frame.module
        tail = f' <span style="opacity:.8">{escape(one_line(place))}</span>' if place else ""
        if frame.inlined:
            tail += ' <span style="opacity:.8">(inlined)</span>'
        title = escape(one_line(f"{frame.address} {frame.module}+{frame.rva:#x}"))
        if is_user(frame, source):
            items.append(
                f'<li title="{title}" style="{_USER}"><strong>▸ <code>{name}</code>{tail}'
                "</strong></li>"
            )
        else:
            items.append(f'<li title="{title}"><code>{name}</code>{tail}</li>')
    if len(frames) > MOST_FRAMES:
        items.append(f"<li>… and {len(frames) - MOST_FRAMES} more</li>")
    return f'<ol start="0" style="{_MONO};margin:0">{"".join(items)}</ol>'


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


def _registers(event: BugcheckEvent) -> str:
    if not event.registers and not event.instruction:
        return ""
    lines = []
    if event.instruction:
        lines.append(f"rip → {one_line(event.instruction)}")
    row = ""
    for name, value in event.registers.items():
        cell = f"{one_line(name)[:8]:>6} {one_line(value)[:18]:<18} "
        if len(row) + len(cell) > 84:
            lines.append(row.rstrip())
            row = ""
        row += cell
    lines.append(row.rstrip())
    body = escape("\n".join(filter(None, lines)))
    return (
        f'<details style="margin-top:8px"><summary>Registers and instruction</summary>'
        f'<pre style="{_MONO};margin:2px 0;overflow:auto">{body}</pre></details>'
    )
