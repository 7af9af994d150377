"""A pane as a cell's output: live while the kernel lives, readable ever after.

Two outputs are shown. The first is the finished pane as static HTML and text, brought up to
date in place (``display_id``) when the log comes to rest; the second is the widget. While a
live view is on the page it hides the first; without one (a saved notebook reopened, an export,
a code host) the first is what a reader sees, and its style hides what the front end puts where
the widget was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from .terminal import TextPane
from .text import Rules, Source

if TYPE_CHECKING:
    from .driver_tab import Actions
    from .log import LogPane

_VIEW: Final = "application/vnd.jupyter.widget-view+json"

#: IPython's ``display``, or what takes the same arguments.
Display = Callable[..., Any]


def new_pane(
    title: str,
    *,
    rich: bool = True,
    source: Source = None,
    rules: Rules | None = None,
    log_file: bool = False,
    several: bool = False,
    **actions: Callable[[], object] | None,
) -> LogPane | TextPane:
    """A pane for this front end: a widget where ``rich``, else lines in the terminal.

    With ``log_file``, a log too long for the notebook is kept whole beside it.
    ``several``: its lines say of which driver they are.
    ``actions`` are ``on_unload``, ``on_reload``, ``on_cancel``: what the buttons do.
    """
    if not rich:
        return TextPane(title, source=source, rules=rules, several=several)
    from .log import LogPane
    from .log_file import LogFile

    file = LogFile(title) if log_file else None
    return LogPane(title, source=source, rules=rules, log_file=file, **actions)


def offer_driver_view(pane: LogPane | TextPane, actions: Actions) -> Callable[[], object]:
    """Give a pane its Driver view, where it can have one; call the result when that may change."""
    if isinstance(pane, TextPane):
        return lambda: None
    from .driver_tab import DriverTab

    tab = DriverTab(actions, partial(pane.tab_changed, DriverTab.name))
    pane.add_tab(tab)
    info = actions.info()
    if info is not None and info.sha256:
        pane.set_image(f"{info.size:,} bytes, SHA-256 {info.sha256[:12]}…")
    return partial(pane.tab_changed, tab.name)


class Shown:
    """A pane that is a cell's output."""

    def __init__(self, pane: LogPane, display: Display) -> None:
        self._pane = pane
        self._display = display

    def update(self) -> None:
        """Bring the saved form up to date now."""
        self._pane.keep_log()
        self._display(self._bundle(), raw=True, display_id=self._pane.id, update=True)

    def _bundle(self) -> Mapping[str, str]:
        return {"text/plain": self._pane.text(), "text/html": self._pane.html()}


def show(pane: LogPane | TextPane, display: Display) -> Shown | None:
    """Show ``pane`` as output of the cell that runs; call it once, in the cell's own thread.

    ``display`` is ``IPython.display.display``. A :class:`~.terminal.TextPane` needs no output.
    """
    if isinstance(pane, TextPane):
        return None
    shown = Shown(pane, display)
    display(shown._bundle(), raw=True, display_id=pane.id)
    widget = pane.attach(shown.update)
    view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    display({_VIEW: view, "text/plain": ""}, raw=True)
    return shown
