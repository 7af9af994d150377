"""The anywidget behind a pane: its synced state, and the script and style it ships.

Importing this imports anywidget and ipywidgets (about a quarter of a second).
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

_STATIC: Final = Path(__file__).parent / "static"

#: The modules of the pane's script, in the order of their imports.
_MODULES: Final = (
    "text.js",
    "cells.js",
    "store.js",
    "filter.js",
    "menu.js",
    "criteria.js",
    "row.js",
    "scroll.js",
    "rows.js",
    "select.js",
    "export.js",
    "patterns.js",
    "help.js",
    "logmenus.js",
    "logkeys.js",
    "log.js",
    "saved.js",
    "tabs.js",
    "timeline_data.js",
    "timeline_frame.js",
    "timeline_draw.js",
    "timeline_pointer.js",
    "timeline.js",
    "progress.js",
    "fixes.js",
    "panels.js",
    "hex.js",
    "ctlcode.js",
    "chart.js",
    "driver.js",
    "view.js",
)

_STYLES: Final = ("style.css", "driver.css", "panels.css", "timeline.css")

_IMPORT: Final = re.compile(r'^import [^;]*? from "\./[\w.]+";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:const|function|async|class)\b)", re.MULTILINE)
_COMMENT: Final = re.compile(r"^\s*//.*\n", re.MULTILINE)


@cache
def script() -> str:
    """The modules as one: a widget's script is a single text without files beside it."""
    parts = []
    for name in _MODULES:
        text = (_STATIC / name).read_text(encoding="utf-8")
        parts.append(_COMMENT.sub("", _EXPORT.sub("", _IMPORT.sub("", text))))
    return "\n".join(parts)


@cache
def style() -> str:
    """The style sheets as one."""
    return "\n".join((_STATIC / name).read_text(encoding="utf-8") for name in _STYLES)


class LogWidget(anywidget.AnyWidget):
    """What is synced with the front end; filled and read by :class:`~.log.LogPane`."""

    _esm = script()
    _css = style()

    #: Title, state, timings, buttons, counts: all that is small.
    head: traitlets.Dict[str, Any] = traitlets.Dict().tag(sync=True)
    #: Static HTML of compiler messages, violations and bug check, in this order.
    panels: traitlets.List[str] = traitlets.List().tag(sync=True)
    #: What the compiler proposes and a button can apply: places in the panels name it by number.
    fixes: traitlets.List[Any] = traitlets.List().tag(sync=True)
    #: The first and last rows, for a saved notebook that keeps widget state.
    snapshot: traitlets.Dict[str, Any] = traitlets.Dict().tag(sync=True)


def new_widget(**state: Any) -> LogWidget:
    """A new widget; from here on the front end knows of it."""
    widget = LogWidget(**state)
    # JupyterLab sends a widget's messages to a subshell, so that they are heard while a cell runs.
    # ipykernel 7.4 sends them to where the comm was used last instead, which is the main shell,
    # and so the buttons would act only after the cell. None says: as the front end asks.
    if hasattr(widget.comm, "_reply_subshell_for"):
        widget.comm._reply_subshell_for = None
    return widget
