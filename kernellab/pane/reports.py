"""What the verifier found and what the compiler says, as static HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Any, Final

from ..protocol import ErrorEvent, Frame, Violation
from .bugcheck import render_frames, render_place, render_related
from .text import Source, diagnostic_text, explain_hint, is_user, one_line, stop_head, stop_hint

_BOX = "border-left:4px solid {colour};padding:4px 12px;margin:6px 0"
_ERROR, _WARN = "#c62828", "#b26a00"

#: Empty lines at a message's end, as the compiler writes them between two.
_LAST_LINES: Final = re.compile(r"\s+</pre>$")

#: nbconvert's style sheets leave a ``pre`` in the text's own font: columns need this.
_FIRST_TAG: Final = re.compile(r"^<pre(?=[ >])")
_PRE: Final = (
    '<pre style="font-family:var(--jp-code-font-family,monospace);font-size:12px;'
    'line-height:1.45;overflow:auto;margin:4px 0;padding:4px 8px"'
)

#: Shown of each, in number and in characters of HTML; the rest is counted.
MOST: Final = 50
MOST_CHARACTERS: Final = 96 * 1024


def render_violations(violations: Sequence[Violation], source: Source = None) -> str:
    """Broken rules, each with its place in ``source`` and its call stack folded."""
    if not violations:
        return ""
    count = len(violations)
    head = "The verifier found a mistake" if count == 1 else f"The verifier found {count} mistakes"
    parts = [
        f'<div class="kernellab-violations" role="group" aria-label="{head}"'
        f' style="{_BOX.format(colour=_WARN)}"><strong>⚠ {head}</strong>'
    ]
    for violation in violations[:MOST]:
        rule, message = escape(one_line(violation.rule)), escape(one_line(violation.message))
        parts.append(f'<div style="margin-top:6px"><code>{rule}</code>: {message}</div>')
        own = next((f for f in violation.frames if is_user(f, source) and f.line), None)
        if own is not None:
            parts.append(render_place(own, source))
        parts.append(_stack(violation.frames, source))
        parts.append(render_related(violation.related, source))
    if count > MOST:
        parts.append(f"<div>… and {count - MOST} more</div>")
    parts.append("</div>")
    return "".join(parts)


def render_stop(event: ErrorEvent, source: Source = None) -> str:
    """Where driver code was stopped: its place in ``source``, its call stack folded."""
    head = escape(stop_head(event))
    own = next((f for f in event.frames if is_user(f, source) and f.line), None)
    hint = escape(stop_hint(event))
    return (
        f'<div class="kernellab-stop" role="group" aria-label="{head}"'
        f' style="{_BOX.format(colour=_ERROR)}"><strong>✖ {head}</strong>'
        f"{f'<div>{hint}</div>' if hint else ''}"
        f"{render_place(own, source) if own is not None else ''}"
        f"{_stack(event.frames, source)}</div>"
    )


def _stack(frames: Sequence[Frame], source: Source) -> str:
    if not frames:
        return ""
    inner = render_frames(frames, source)
    return f"<details><summary>Call stack</summary>{inner}</details>"


def render_diagnostics(diagnostics: Sequence[Any]) -> str:
    """Compiler messages: errors open, all else folded.

    Each has ``level`` and either ``html`` (the compiler's own layout, already escaped) or
    ``text``.
    """
    errors = [d for d in diagnostics if getattr(d, "level", "error") == "error"]
    others = [d for d in diagnostics if getattr(d, "level", "error") != "error"]
    parts = []
    if errors:
        head = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        parts.append(
            f'<div class="kernellab-errors" role="group" aria-label="{head}"'
            f' style="{_BOX.format(colour=_ERROR)}"><strong>✖ {head}</strong>'
            f"{_messages(errors)}{_more(errors)}</div>"
        )
    if others:
        head = "1 warning" if len(others) == 1 else f"{len(others)} warnings"
        parts.append(
            f'<details class="kernellab-warnings" style="{_BOX.format(colour=_WARN)}">'
            f"<summary>⚠ {head}</summary>{_messages(others)}</details>"
        )
    return "".join(parts)


def _more(errors: Sequence[Any]) -> str:
    hint = re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(explain_hint(errors)))
    return f"<div>{hint}</div>" if hint else ""


def _messages(diagnostics: Sequence[Any]) -> str:
    out: list[str] = []
    size = 0
    for diagnostic in diagnostics[:MOST]:
        rendered = getattr(diagnostic, "html", "") or (
            f"<pre>{escape(diagnostic_text(diagnostic))}</pre>"
        )
        size += len(rendered)
        if size > MOST_CHARACTERS:
            break
        out.append(_LAST_LINES.sub("</pre>", _FIRST_TAG.sub(_PRE, rendered)))
    if len(out) < len(diagnostics):
        out.append(f"<div>… and {len(diagnostics) - len(out)} more</div>")
    return "".join(out)
