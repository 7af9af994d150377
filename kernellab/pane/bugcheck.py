"""The blue screen, readable: what happened, where in the cell, how it came there.

The HTML is the same in a live pane and in a saved notebook: no script, all text escaped, styled by
classes (static/panels.css), and plain elements that read well without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ..protocol import BugcheckEvent
from .codes import explain, lesson, meanings, page
from .places import render_frames, render_place, render_related
from .registers import notes
from .text import Source, advice, code_line, code_text, one_line, reload_advice, stopped_at


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
        f'<div class="kernellab-bugcheck" role="group" aria-label="Bug check {name}">',
        '<div class="kl-blue"><div class="kl-sad">:(</div>',
        "<div>The machine ran into a problem and has stopped.</div>",
        f"<div>Stop code: <strong>{name or 'UNKNOWN'}</strong> <code>{code}</code></div>",
        f'<div class="kl-what">{message}</div>',
        f"<div><strong>{said}</strong></div>" if said else "",
        '</div><div class="kl-body">',
    ]
    if own is not None:
        parts.append(render_place(own, source))
    parts.append(
        f'<div class="kl-do"><strong>What to do</strong>: {escape(advice(own, source))}'
        f" {escape(reload_advice(event.driver))}</div>"
    )
    parts.append(render_related(event.related, source))
    parts.append(_cause(event))
    parts.append(_parameters(event))
    if event.frames:
        frames = render_frames(event.frames, source)
        parts.append(f"<details><summary>Call stack, innermost first</summary>{frames}</details>")
    parts.append(_registers(event))
    parts.append(_disassembly(event))
    if log:
        lines = escape("\n".join(one_line(line) for line in log))
        parts.append(_fold("Last lines of the log", f"<pre>{lines}</pre>"))
    parts.append(_to_read(event))
    parts.append("</div></div>")
    return "".join(parts)


def _fold(summary: str, inner: str) -> str:
    return f"<details><summary>{summary}</summary>{inner}</details>"


def _cause(event: BugcheckEvent) -> str:
    found = explain(event.code)
    return f"<div><strong>The usual cause</strong>: {escape(found.cause)}</div>" if found else ""


def _parameters(event: BugcheckEvent) -> str:
    if not event.parameters:
        return ""
    rows = []
    named = meanings(event.code, event.parameters)
    for number, (value, meaning) in enumerate(zip(event.parameters, named, strict=True), 1):
        rows.append(
            f"<tr><td>{number}</td><td><code>{escape(one_line(value))}</code></td>"
            f"<td>{escape(meaning)}</td></tr>"
        )
    return f'<div>Parameters</div><table class="kl-table"><tbody>{"".join(rows)}</tbody></table>'


def _registers(event: BugcheckEvent) -> str:
    if not event.registers:
        return ""
    said, rows = notes(event), []
    cells = [
        f"{one_line(name)[:8]:>6} {_wide(value)}" + (" ←" if name in said else "  ")
        for name, value in event.registers.items()
    ]
    for at in range(0, len(cells), 2):
        rows.append(" ".join(cells[at : at + 2]).rstrip())
    marked = "".join(
        f"<div><code>{escape(one_line(name)[:8])}</code> ← {escape(text)}</div>"
        for name, text in said.items()
    )
    body = escape("\n".join(rows))
    return _fold("Registers", f"{marked}<pre>{body}</pre>")


def _wide(value: str) -> str:
    """A register's value in all of its digits."""
    try:
        return f"{int(value, 16):016x}"
    except ValueError:
        return f"{one_line(value)[:16]:16}"


def _disassembly(event: BugcheckEvent) -> str:
    lines = [code_line(line) for line in event.disassembly]
    if not lines and event.instruction:
        lines = [f"→ {one_line(event.instruction)}"]
    if not lines:
        return ""
    shown = [
        f'<strong class="kl-here">{escape(line)}</strong>' if line.startswith("→") else
        escape(f"  {line}")
        for line in lines
    ]  # fmt: skip
    return _fold("Instructions", "<pre>" + "\n".join(shown) + "</pre>")


def _to_read(event: BugcheckEvent) -> str:
    found = explain(event.code)
    if found is None:
        return ""
    title = escape(page(event.code, one_line(event.name)))
    more = lesson(event.code)
    also = f"; {escape(more)}" if more else ""
    return f'<div>To read: Microsoft, "{title}"{also}</div>'
