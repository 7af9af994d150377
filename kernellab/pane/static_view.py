"""A finished pane without a kernel and without widgets: static HTML, and plain text.

This is what a saved notebook holds, what nbconvert exports, and what a code host shows. It is
capped, so that a chatty driver does not make a notebook that nobody can open.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final
from urllib.parse import quote

from .rows import MARKS, PRINT, Row, plain_rows
from .standalone import not_empty, standalone
from .text import headline, level_name, one_line

#: Characters of log kept in each form.
MAX_HTML: Final = 160 * 1024
MAX_TEXT: Final = 96 * 1024
_STATES: Final = {
    "running": "▶",
    "unload pending": "◌",
    "unloaded": "■",
    "built": "■",
    "failed": "✖",
    "bug check": "✖",
    "timed out": "✖",
    "interrupted": "■",
    "gone": "■",
}

# Where the live pane's model is gone, JupyterLab writes "Loading widget..." or "model not found"
# into the output that follows, and no element: hide that. While a live pane is there, it hides
# this one (static/view.js). A link, as an element that is empty leaves no text where it is not
# allowed (see standalone).
_RULE: Final = (
    ".jp-OutputArea-child:has([data-kernellab-static])+.jp-OutputArea-child"
    ":has(>.lm-Panel.jp-OutputArea-output):not(:has(>.jp-OutputArea-output *)){display:none}"
)
_STYLE: Final = f'<link rel="stylesheet" href="data:text/css,{quote(_RULE, safe=":()[]*.=,-")}">'


@dataclass(frozen=True, slots=True)
class Finished:
    """A pane's content at one moment.

    ``head`` and ``tail`` are rows with ``omitted`` rows between them; ``panels`` is HTML made
    by this package, ``panels_text`` the same as plain text.
    """

    title: str
    state: str = ""
    detail: str = ""
    timings: str = ""
    head: Sequence[Row] = ()
    omitted: int = 0
    tail: Sequence[Row] = ()
    total: int = 0
    dropped: int = 0
    panels: Sequence[str] = ()
    panels_text: Sequence[str] = ()
    #: An SVG of this package, and what it says as text.
    picture: tuple[str, str] = ("", "")
    pane: str = field(default="", repr=False)
    #: The file beside the notebook that has all rows, as a path and as a URL from there; or why
    #: there is none.
    log_file: str = ""
    log_link: str = ""
    log_problem: str = ""
    #: The driver's image in a few words.
    image: str = ""


def _head(finished: Finished) -> str:
    return headline(finished.title, finished.state, finished.detail)


def _foot(finished: Finished) -> str:
    count = "1 line" if finished.total == 1 else f"{finished.total:,} lines"
    return f"{count}, {finished.dropped:,} dropped" if finished.dropped else count


def _omitted(finished: Finished, file: str) -> str:
    """What stands in the place of rows; ``file`` is how the log file is shown."""
    count = finished.omitted
    said = "1 line is" if count == 1 else f"{count:,} lines are"
    said += " not kept in the notebook"
    if finished.log_problem:
        said += f", nor in {file}: {one_line(finished.log_problem)}"
    elif finished.log_file:
        said += f": the whole log is in {file}"
    return f"… {said} …"


def _omitted_html(finished: Finished) -> str:
    file = escape(finished.log_file)
    if not finished.log_problem:
        file = f'<a href="{escape(finished.log_link)}">{file}</a>'
    # A mark in the place of the file's name, as all but the link is escaped.
    before, _, after = _omitted(finished, "\0").partition("\0")
    link = file if after else ""
    return f"<em>{escape(before)}{link}{escape(after)}</em>"


def render_text(finished: Finished) -> str:
    """The pane as plain text: what happened first, then the log."""
    out = [_head(finished)]
    if finished.timings:
        out[0] += f" [{finished.timings}]"
    if finished.image:
        out.append(finished.image)
    out += [text for text in finished.panels_text if text]
    if finished.head:
        out.append(plain_rows(finished.head))
    if finished.omitted:
        out.append(_omitted(finished, finished.log_file))
    if finished.tail:
        out.append(plain_rows(finished.tail))
    if finished.dropped:
        out.append(f"({_foot(finished)})")
    if finished.picture[1]:
        out.append(f"Timeline: {finished.picture[1]}")
    return "\n".join(out)


def render_html(finished: Finished) -> str:
    """The pane as HTML that needs no script and no kernel, for light and dark grounds.

    Where styles are stripped it still reads well: a bold head line, panels, a ``pre``.
    """
    mark = _STATES.get(finished.state, "")
    pane = f' data-kernellab-static="{escape(finished.pane)}"' if finished.pane else ""
    label = escape(one_line(f"Driver {finished.title}: {finished.state}"))
    parts = [f'<div class="kernellab-static"{pane} role="group" aria-label="{label}">']
    parts.append(_STYLE if finished.pane else "")
    parts.append(
        f'<div style="margin:2px 0"><strong>{mark} {escape(_head(finished))}</strong>'
        f' <span style="opacity:.8">{escape(finished.timings)}</span></div>'
    )
    if finished.image:
        image = escape(finished.image)
        parts.append(f'<div style="font-size:11px;opacity:.8">{image}</div>')
    if finished.panels:
        parts += ["<div>", *map(standalone, finished.panels), "</div>"]
    rows = [_row(row) for row in finished.head]
    if finished.omitted:
        rows.append(_omitted_html(finished))
    rows += [_row(row) for row in finished.tail]
    if rows:
        style = (
            "font-family:var(--jp-code-font-family,monospace);font-size:12px;line-height:1.5;"
            "max-height:420px;overflow:auto;margin:2px 0;padding:4px 8px"
        )
        parts.append(f'<pre style="{style}">' + "\n".join(rows) + "</pre>")
    if finished.total or finished.dropped:
        parts.append(f'<div style="font-size:11px;opacity:.8">{escape(_foot(finished))}</div>')
    if finished.picture[0]:
        parts.append(_picture(*finished.picture))
    return not_empty("".join([*parts, "</div>"]))


def _picture(svg: str, text: str) -> str:
    """As an image, which is shown also where a page allows no SVG of its own."""
    data = base64.b64encode(svg.encode()).decode()
    return (
        '<details open><summary style="cursor:pointer">Timeline</summary>'
        f'<img alt="{escape(text, quote=True)}" style="max-width:100%"'
        f' src="data:image/svg+xml;base64,{data}"></details>'
    )


def _row(row: Row) -> str:
    time = " " * 12 if row.continued else f"{row.time:12.6f}"
    text = escape(row.text)
    if row.kind != PRINT:
        return f"{time}  <strong>{MARKS.get(row.kind, '')} {text}</strong>"
    level = level_name(row.level, row.component)
    mark = "↳ " if row.continued else ""
    if level:
        return f"{time}  [{level}] {mark}{text}"
    return f"{time}  {mark}{text}"
