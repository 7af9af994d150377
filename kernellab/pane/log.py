"""The log pane: a driver's prints, live in the notebook, and all that is to be said of it.

This module keeps what is shown; :mod:`~.feed` brings it to the front end, :mod:`~.buttons` acts
on what the user presses.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..prints import parts_of
from ..protocol import BugcheckEvent, ErrorEvent, Event, Violation
from .bugcheck import render_bugcheck
from .buttons import Buttons
from .feed import Feed
from .fixes import diff_text
from .progress import Progress
from .reports import fixes, render_build, render_diagnostics, render_stop, render_violations
from .rows import Rows
from .static_view import MAX_HTML, MAX_TEXT, Finished, render_html, render_text
from .tabs import Tab, Tabs
from .text import (
    LAST_LINES,
    Rules,
    Source,
    bugcheck_text,
    diagnostic_text,
    explain_hint,
    one_line,
    own_files,
    panic_text,
    stop_text,
    timings_text,
    violations_text,
)

if TYPE_CHECKING:
    from ._widget import LogWidget
    from .log_file import LogFile

#: Characters of rows in the widget's own state.
SNAPSHOT: Final = 32 * 1024
#: Rows of the log file that are made at a time.
LINES_AT_A_TIME: Final = 5_000
#: Violations kept for the panel; all of them are rows as well.
MOST_VIOLATIONS: Final = 200


class LogPane:
    """A pane for one driver's log. Every method may be called from any thread.

    ``on_unload``, ``on_reload`` and ``on_cancel`` (of a build) are called, each in a thread of its
    own, when the user presses the button; what they raise is shown in the pane. ``source`` is the
    user's own, for the lines shown with a bug check; ``rules`` what is known of the verifier's;
    ``log_file`` keeps a log that is too long for the notebook.
    """

    def __init__(
        self,
        title: str,
        *,
        on_unload: Callable[[], object] | None = None,
        on_reload: Callable[[], object] | None = None,
        on_cancel: Callable[[], object] | None = None,
        source: Source = None,
        rules: Rules | None = None,
        log_file: LogFile | None = None,
    ) -> None:
        self.title = one_line(title)
        #: Identifies the pane in the page; also its ``display_id``.
        self.id = f"kernellab-{uuid.uuid4().hex[:12]}"
        self._source, self._rules = source, rules
        self._built: Mapping[str, Any] | None = None
        self._work = threading.Condition()  # guards all below
        self._rows = Rows(source)
        self._state, self._detail, self._timings, self._image = "", "", "", ""
        self._loaded = False
        self._diagnostics: list[Any] = []
        self._violations: list[Violation] = []
        self._bugcheck: BugcheckEvent | None = None
        self._last_prints: list[str] = []  # what a panic said, before the bug check that it causes
        self._stop: ErrorEvent | None = None
        self._file, self._in_file = log_file, (0, 0)
        self._picture = ("", "")
        self._feed = Feed(self, self._work)
        self._tabs = Tabs()
        self._progress = Progress()
        actions = {"unload": on_unload, "reload": on_reload}
        if on_cancel is not None:
            actions["cancel"] = on_cancel
        self._buttons = Buttons(actions, self._work, self._feed.changed)

    # -- what the lab says ----------------------------------------------------------------------

    def add(self, events: Sequence[Event]) -> None:
        """Show events, in order. Cheap: sending is the background thread's work."""
        with self._work:
            events = parts_of(events)
            first, panels = self._rows.add(events), False
            for event in events:
                if isinstance(event, BugcheckEvent):
                    self._bugcheck, panels = event, True
                    self._last_prints = self._rows.last_prints()
                elif isinstance(event, Violation) and len(self._violations) < MOST_VIOLATIONS:
                    self._violations.append(event)
                    panels = True
                elif isinstance(event, ErrorEvent) and event.frames:
                    self._stop, panels = event, True
            self._feed.changed(first, panels=panels)

    def set_state(self, state: str, detail: str = "") -> None:
        """The driver's state: building, loading, running, unloaded, failed, bug check, …"""
        with self._work:
            self._state, self._detail = one_line(state), one_line(detail)
            self._progress.entered(self._state)
            self._loaded |= state in ("loading", "running")
            panels = False
            if state == "loading":
                # A new load: what the last one came to is history, and stays in the rows.
                panels = bool(self._violations or self._bugcheck or self._stop)
                self._violations, self._bugcheck, self._stop = [], None, None
                self._buttons.note, self._last_prints = "", []
            self._feed.changed(panels=panels)

    def set_progress(self, done: int, total: int, what: str, state: str = "building") -> None:
        """It goes on: ``compiling hello``, 2 of 4; ``total`` is 0 where not known."""
        with self._work:
            if self._state != state:
                self.set_state(state)
            self._progress.step(done, total, what)
            self._feed.changed()

    def set_timings(self, timings: Mapping[str, float] | None = None, **more: float) -> None:
        """Seconds by name, shown as ``build 0.31 s · load 4 ms · first line 6 ms``."""
        with self._work:
            self._timings = timings_text({**(timings or {}), **more})
            self._feed.changed()

    def set_image(self, image: str) -> None:
        """The driver's image in a few words, for the saved form: its size, its hash."""
        with self._work:
            self._image = one_line(image)
            self._feed.changed()

    def set_diagnostics(self, diagnostics: Sequence[Any]) -> None:
        """The compiler's messages: each has ``level``, ``text`` and ``html``."""
        with self._work:
            self._diagnostics = list(diagnostics)
            self._feed.changed(panels=True)

    def set_built(self, built: Mapping[str, Any]) -> None:
        """What is to be said of a build that is done; see :func:`~.reports.render_build`."""
        with self._work:
            self._built = dict(built)
            self._feed.changed(panels=True)

    def set_note(self, note: str) -> None:
        """A line below the log, such as an error of a button's action; empty takes it away."""
        with self._work:
            self._buttons.note = one_line(note)
            self._feed.changed()

    def set_picture(self, svg: str, text: str) -> None:
        """A picture for the saved form, an SVG of this package; ``text`` says the same."""
        with self._work:
            self._picture = svg, text
            self._feed.changed()

    def add_tab(self, tab: Tab) -> None:
        """Offer a further view beside the log."""
        with self._work:
            self._tabs.add(tab)
            self._feed.changed()

    def tab_changed(self, name: str) -> None:
        """A tab has something new to show; an open one asks for it."""
        with self._work:
            self._tabs.changed(name)
            self._feed.changed()

    def set_waiting(self, reason: str) -> None:
        """The pressed button's action waits for something; empty when it goes on."""
        with self._work:
            self._buttons.waiting = one_line(reason)
            self._feed.changed()

    def retire(self) -> None:
        """The cell was run again: this pane's buttons no longer act."""
        with self._work:
            self._buttons.retired = True
            self._feed.changed()
        self.finish()

    def finish(self) -> None:
        """Bring everything to the front end and into the notebook now, before returning.

        The pane goes on working: call it at the end of the cell, and when the driver is gone.
        """
        self._feed.flush()

    def settle(self) -> None:
        """The same where something has changed: for the end of any cell."""
        self._feed.settle()

    def close(self) -> None:
        """Take the widget away from the front end (its output is gone), and let go of the log."""
        self._feed.close()
        with self._work:
            self._rows = Rows(self._source)

    def held(self) -> int:
        """About how many characters of log are kept."""
        with self._work:
            return self._rows.size()

    # -- the finished pane ------------------------------------------------------------------------

    def finished(self, characters: int = MAX_HTML) -> Finished:
        """The pane's content now, with at most about ``characters`` of its rows."""
        with self._work:
            head, omitted, tail = self._rows.ends(characters)
            diagnostics, violations = list(self._diagnostics), list(self._violations)
            bugcheck, stop, last_words = self._bugcheck, self._stop, panic_text(self._last_prints)
            base = Finished(
                title=self.title,
                state=self._state,
                detail=self._detail,
                timings=self._timings,
                head=head,
                omitted=omitted,
                tail=tail,
                total=self._rows.total,
                dropped=self._rows.dropped,
                pane=self.id,
                image=self._image,
                panels=self._reports(),
                picture=self._picture,
            )
            if self._file is not None and omitted:
                file, problem = self._file, self._file.problem
                base = replace(base, log_file=file.shown, log_link=file.link, log_problem=problem)
        texts = []
        for each in diagnostics:
            texts += [diagnostic_text(each), diff_text(each, self._source)]
        texts.append(explain_hint(diagnostics))
        texts += violations_text(violations, self._source, self._rules)
        if stop is not None:
            texts.append(stop_text(stop, self._source))
        if bugcheck is not None:
            texts.append(bugcheck_text(bugcheck, self._source, last_words=last_words))
        return replace(base, panels_text=texts)

    def keep_log(self) -> None:
        """Write the whole log beside the notebook, where the notebook does not hold it all.

        Called by one thread at a time.
        """
        with self._work:
            now = self._rows.version
            if self._file is None or now == self._in_file or self._rows.fits(MAX_TEXT):
                return
        self._in_file = now
        self._file.write(self._lines())

    def _lines(self) -> Iterator[str]:
        """All rows as text, in parts: the lock is free between two."""
        with self._work:
            number, end = self._rows.base, self._rows.total
        if number:
            yield f"… {number:,} lines before these were let go …"
        first = not number
        while number < end:
            with self._work:
                start = max(number, self._rows.base) - self._rows.base
                part = self._rows.plain(start, start + LINES_AT_A_TIME)
                number = self._rows.base + start + LINES_AT_A_TIME
            yield part.removeprefix("\n") if first else part
            first = False
        yield "\n"

    def html(self) -> str:
        """The pane as static HTML."""
        return render_html(self.finished(MAX_HTML))

    def text(self) -> str:
        """The pane as plain text."""
        return render_text(self.finished(MAX_TEXT))

    # -- the front end ----------------------------------------------------------------------------

    def attach(self, static: Callable[[], object] | None = None) -> LogWidget:
        """Make the widget. ``static`` is called when the saved form should follow."""
        widget = self._feed.attach(self._receive, static)
        with self._work:
            self._feed.changed()
        return widget

    def _receive(self, _: object, content: object, __: object) -> None:
        """A message of the view; may come on any thread, and from an altered page."""
        if not isinstance(content, dict):
            return
        kind, start = content.get("type"), content.get("from")
        if kind == "tab":
            tab = self._tabs.find(content.get("tab"))
            if tab is not None:
                if "mark" in content:
                    with self._work:
                        self._buttons.hear(content["mark"])
                tab.receive(content, partial(self._feed.tell, tab.name))
            return
        with self._work:
            self._feed.heard(start if kind == "sync" and isinstance(start, int) else None)
            self._buttons.press(kind, content.get("mark"), self._state, loaded=self._loaded)

    def rows(self) -> Rows:
        """All rows (the lock is held)."""
        return self._rows

    def head(self) -> dict[str, Any]:
        """What the head line and the buttons show (the lock is held)."""
        buttons = self._buttons
        return {
            "title": self.title,
            "state": self._state,
            "detail": self._detail,
            "timings": self._timings,
            "note": buttons.note,
            "busy": buttons.busy,
            "waiting": buttons.waiting,
            "heard": buttons.heard,
            "progress": self._progress.head(),
            "reasons": buttons.reasons(self._state, loaded=self._loaded),
            "dropped": self._rows.dropped,
            "pane": self.id,
            "tabs": self._tabs.head(),
            "files": own_files(self._source),
        }

    def panels(self) -> list[str]:
        """All that stands above the log, as static HTML (the lock is held)."""
        built = render_build(self._built) if self._built is not None else ""
        return [panel for panel in (built, *self._reports()) if panel]

    def fixes(self) -> list[dict[str, Any]]:
        """What buttons in the compiler's messages apply (the lock is held)."""
        return [fix.state() for fix in fixes(self._diagnostics, self._source)]

    def _reports(self) -> list[str]:
        """Compiler messages, violations, and why it stopped."""
        panels = [
            render_diagnostics(self._diagnostics, self._source),
            render_violations(self._violations, self._source, self._rules),
        ]
        if self._stop is not None:
            panels.append(render_stop(self._stop, self._source))
        if self._bugcheck is not None:
            words, log = panic_text(self._last_prints), self._last_prints[-LAST_LINES:]
            panels.append(render_bugcheck(self._bugcheck, self._source, last_words=words, log=log))
        return [panel for panel in panels if panel]

    def snapshot(self) -> dict[str, Any]:
        """The first and last rows, for a saved notebook that keeps widget state."""
        finished = self.finished(SNAPSHOT)
        rows = [*finished.head, *finished.tail]
        drivers = self._rows.drivers
        return {
            "rows": [
                [
                    r.text,
                    r.time,
                    r.kind | r.continued << 3 | r.irql << 4,
                    r.level,
                    r.component,
                    drivers.index(r.driver) | r.thread << 12,
                ]
                for r in rows
            ],
            "head": len(finished.head),
            "omitted": finished.omitted,
            "drivers": list(drivers),
            "components": dict(self._rows.components),
        }
