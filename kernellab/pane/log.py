"""The log pane: a driver's prints, live in the notebook.

The kernel side keeps every row and a background thread sends what is new, at most 15 times a
second, as numbered binary batches. A front end that starts late, reconnects or misses one sees
that by the numbers and asks again. The thread ends when there is nothing to do.
"""

from __future__ import annotations

import sys
import threading
import time
import uuid
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ..errors import KernelLabError
from ..protocol import BugcheckEvent, Event, Violation
from .bugcheck import render_bugcheck
from .reports import render_diagnostics, render_violations
from .rows import Rows
from .static_view import MAX_HTML, MAX_TEXT, Finished, render_html, render_text
from .text import bugcheck_text, diagnostic_text, one_line, timings_text, violation_text

if TYPE_CHECKING:
    from ._widget import LogWidget

#: Seconds between two batches.
INTERVAL: Final = 1 / 15
#: Most of one batch: rows, and characters of text.
BATCH_ROWS: Final = 20_000
BATCH_CHARACTERS: Final = 2_000_000
#: Characters of rows in the widget's own state.
SNAPSHOT: Final = 32 * 1024
#: The saved notebook's text follows once the log was quiet that long, and at least that often.
QUIET, AT_LEAST = 1.0, 10.0
#: While no view has spoken, the first rows are sent again after so many seconds: a view that
#: starts during the cell may not be heard before the cell has ended.
AGAIN: Final = (0.3, 0.7, 1.5, 3.0)
AGAIN_ROWS: Final = 5_000
#: Seconds without work after which the thread ends.
LINGER: Final = 2.0
#: Violations kept for the panel; all of them are rows as well.
MOST_VIOLATIONS: Final = 200

_ALIVE = ("running",)
_BUSY = ("", "building", "loading", "unloading", "reloading", "compiling")


class LogPane:
    """A pane for one driver's log. Every method may be called from any thread.

    ``on_unload`` and ``on_reload`` are called, each in a thread of its own, when the user
    presses the button; what they raise is shown in the pane. ``source`` is the cell's text,
    for the lines shown with a bug check.
    """

    def __init__(
        self,
        title: str,
        *,
        on_unload: Callable[[], object] | None = None,
        on_reload: Callable[[], object] | None = None,
        source: str | None = None,
    ) -> None:
        self.title = one_line(title)
        #: Identifies the pane in the page; also its ``display_id``.
        self.id = f"kernellab-{uuid.uuid4().hex[:12]}"
        self._actions = {"unload": on_unload, "reload": on_reload}
        self._source = source
        self._work = threading.Condition()  # guards all below
        self._sending = threading.Lock()  # held while talking to the front end
        self._rows = Rows()
        self._state, self._detail, self._timings, self._note = "", "", "", ""
        self._busy = ""
        self._loaded = self._retired = False
        self._diagnostics: list[Any] = []
        self._violations: list[Violation] = []
        self._bugcheck: BugcheckEvent | None = None
        self._widget: LogWidget | None = None
        self._static: Callable[[], object] | None = None
        self._thread: threading.Thread | None = None
        self._sent = 0
        self._sent_once = False
        self._head_changed = self._panels_changed = False
        self._again: list[float] | None = None  # not planned yet
        self._static_due = self._static_latest = 0.0

    # -- what the lab says ----------------------------------------------------------------------

    def add(self, events: Sequence[Event]) -> None:
        """Show events, in order. Cheap: sending is the background thread's work."""
        with self._work:
            self._sent = min(self._sent, self._rows.add(events))
            for event in events:
                if isinstance(event, BugcheckEvent):
                    self._bugcheck, self._panels_changed = event, True
                elif isinstance(event, Violation) and len(self._violations) < MOST_VIOLATIONS:
                    self._violations.append(event)
                    self._panels_changed = True
            self._changed()

    def set_state(self, state: str, detail: str = "") -> None:
        """The driver's state: building, loading, running, unloaded, failed, bug check, …"""
        with self._work:
            self._state, self._detail = one_line(state), one_line(detail)
            self._loaded |= state in ("loading", *_ALIVE)
            if state == "loading":
                # A new load: what the last one came to is history, and stays in the rows.
                self._note = ""
                self._panels_changed |= bool(self._violations or self._bugcheck)
                self._violations, self._bugcheck = [], None
            self._changed()

    def set_progress(self, done: int, total: int, what: str) -> None:
        """The build goes on: ``compiling hello (2 of 4)``; ``total`` is 0 where not known."""
        self.set_state("building", f"{what} ({done} of {total})" if total else what)

    def set_timings(self, timings: Mapping[str, float] | None = None, **more: float) -> None:
        """Seconds by name, shown as ``build 0.31 s · load 4 ms · first line 6 ms``."""
        with self._work:
            self._timings = timings_text({**(timings or {}), **more})
            self._changed()

    def set_diagnostics(self, diagnostics: Sequence[Any]) -> None:
        """The compiler's messages: each has ``level``, ``text`` and ``html``."""
        with self._work:
            self._diagnostics = list(diagnostics)
            self._panels_changed = True
            self._changed()

    def set_note(self, note: str) -> None:
        """A line below the log, such as an error of a button's action; empty takes it away."""
        with self._work:
            self._note = one_line(note)
            self._changed()

    def retire(self) -> None:
        """The cell was run again: this pane's buttons no longer act."""
        with self._work:
            self._retired = True
            self._changed()
        self.finish()

    def finish(self) -> None:
        """Bring everything to the front end and into the notebook now, before returning.

        The pane goes on working: call it at the end of the cell, and when the driver is gone.
        """
        with self._sending:
            self._send()  # the first batch at once; a long log's rest follows
            self._update_static()

    def close(self) -> None:
        """Take the widget away from the front end (its output is gone)."""
        with self._sending:
            widget, self._widget = self._widget, None
            self._static = None
            if widget is not None:
                widget.close()

    # -- the finished pane ------------------------------------------------------------------------

    def finished(self, characters: int = MAX_HTML) -> Finished:
        """The pane's content now, with at most about ``characters`` of its rows."""
        with self._work:
            head, omitted, tail = self._rows.ends(characters)
            diagnostics, violations = list(self._diagnostics), list(self._violations)
            bugcheck = self._bugcheck
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
                panels=self._panels(),
            )
        texts = [diagnostic_text(d) for d in diagnostics]
        texts += [violation_text(v) for v in violations]
        if bugcheck is not None:
            texts.append(bugcheck_text(bugcheck, self._source))
        return replace(base, panels_text=texts)

    def html(self) -> str:
        """The pane as static HTML."""
        return render_html(self.finished(MAX_HTML))

    def text(self) -> str:
        """The pane as plain text."""
        return render_text(self.finished(MAX_TEXT))

    def _panels(self) -> list[str]:
        panels = [
            render_diagnostics(self._diagnostics),
            render_violations(self._violations, self._source),
        ]
        if self._bugcheck is not None:
            panels.append(render_bugcheck(self._bugcheck, self._source))
        return [panel for panel in panels if panel]

    # -- the front end ----------------------------------------------------------------------------

    def attach(self, static: Callable[[], object] | None = None) -> LogWidget:
        """Make the widget. ``static`` is called when the saved form should follow."""
        from ._widget import new_widget

        with self._sending:
            if self._widget is None:
                with self._work:
                    state = {"head": self._head(), "panels": self._panels()}
                self._widget = new_widget(**state, snapshot=self._snapshot())
                self._widget.on_msg(self._receive)
                self._static = static
            widget = self._widget
        with self._work:
            self._changed()
        return widget

    def _receive(self, _: object, content: object, __: object) -> None:
        """A message of the view; may come on any thread, and from an altered page."""
        if not isinstance(content, dict):
            return
        kind, start = content.get("type"), content.get("from")
        with self._work:
            self._again = []
            self._head_changed = True  # the answer that tells a view it is heard
            if kind == "sync" and isinstance(start, int):
                self._sent = min(self._sent, max(start, 0))
                self._sent_once = False
            self._wake()
        if kind in self._actions:
            self._act(str(kind))

    def _act(self, name: str) -> None:
        with self._work:
            action = self._actions[name]
            if action is None or self._buttons()[name]:
                return
            self._busy, self._note = name, ""
            self._changed()
        thread = threading.Thread(
            target=self._run_action, args=(name, action), name=f"kernellab-{name}", daemon=True
        )
        thread.start()

    def _run_action(self, name: str, action: Callable[[], object]) -> None:
        note = ""
        try:
            action()
        except KernelLabError as error:
            note = f"{name} failed: {error}"
        except Exception as error:  # shown where the user pressed
            note = f"{name} failed: {type(error).__name__}: {error}"
        with self._work:
            self._busy, self._note = "", one_line(note)
            self._changed()

    def _buttons(self) -> dict[str, str]:
        """Why each button does not act now; empty where it does."""
        blocked = ""
        if self._retired:
            blocked = "the cell was run again"
        elif self._busy:
            blocked = f"{self._busy} is under way"
        elif self._state in _BUSY:
            blocked = "the driver is not loaded yet"
        reasons = dict.fromkeys(self._actions, blocked)
        if not blocked and self._state not in _ALIVE:
            reasons["unload"] = "the driver is not running"
        if not blocked and not self._loaded:
            reasons["reload"] = "nothing was loaded"
        for name, action in self._actions.items():
            if action is None:
                reasons[name] = "not available here"
        return reasons

    def _head(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "state": self._state,
            "detail": self._detail,
            "timings": self._timings,
            "note": self._note,
            "busy": self._busy,
            "reasons": self._buttons(),
            "total": self._rows.total,
            "dropped": self._rows.dropped,
            "pane": self.id,
        }

    def _snapshot(self) -> dict[str, Any]:
        finished = self.finished(SNAPSHOT)
        rows = [*finished.head, *finished.tail]
        return {
            "rows": [
                [r.text, r.time, r.kind | r.continued << 3, r.level, r.component] for r in rows
            ],
            "head": len(finished.head),
            "omitted": finished.omitted,
        }

    # -- the background thread --------------------------------------------------------------------

    def _changed(self) -> None:
        """Something is new (the lock is held)."""
        self._head_changed = True
        now = time.monotonic()
        if not self._static_due:
            self._static_latest = now + AT_LEAST
        self._static_due = min(now + QUIET, self._static_latest)
        self._wake()

    def _wake(self) -> None:
        if self._widget is None or sys.is_finalizing():
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="kernellab-pane", daemon=True)
            self._thread.start()
        self._work.notify_all()

    def _loop(self) -> None:
        idle_since = time.monotonic()
        while True:
            with self._work:
                now = time.monotonic()
                if self._widget is None:
                    self._thread = None
                    return
                if not self._pending():
                    due = [t for t in (self._static_due, *(self._again or [])[:1]) if t]
                    until = min(due, default=idle_since + LINGER)
                    if until > now:
                        self._work.wait(until - now)
                        continue
                    if not due:
                        self._thread = None
                        return
                    if self._again and self._again[0] <= now:
                        self._again.pop(0)
                        if self._rows.total <= AGAIN_ROWS:
                            self._sent, self._sent_once = self._rows.base, False
                            self._head_changed = self._panels_changed = True
                update = bool(self._static_due) and self._static_due <= now
            with self._sending:
                try:
                    self._send()
                    if update:
                        self._update_static()
                except Exception:  # the kernel is going down, or its front end is gone
                    with self._work:
                        self._thread = None
                    return
            idle_since = time.monotonic()
            time.sleep(INTERVAL)

    def _pending(self) -> bool:
        return (
            self._head_changed
            or self._panels_changed
            or self._sent < self._rows.total
            or not self._sent_once
        )

    def _send(self) -> None:
        """Send the next batch and whatever else is new (``_sending`` is held)."""
        with self._work:
            widget = self._widget
            if widget is None:
                return
            batch = self._rows.batch(self._sent, BATCH_ROWS, BATCH_CHARACTERS)
            base, total = self._rows.base, self._rows.total
            self._sent = batch.first + len(batch.texts)
            new = bool(batch.texts) or not self._sent_once
            self._sent_once = True
            head = self._head() if self._head_changed else None
            panels = self._panels() if self._panels_changed else None
            self._head_changed = self._panels_changed = False
            if self._again is None and total <= AGAIN_ROWS:
                now = time.monotonic()
                self._again = [now + after for after in AGAIN]
        if new:
            content = {"type": "rows", "first": batch.first, "base": base, "total": total}
            text = "\n".join(batch.texts).encode("utf-8")
            widget.send(content, [_little(batch.times), _little(batch.meta), text])
        if head is not None:
            # Unequal each time, so that it is sent even when nothing else has changed.
            widget.head = {**head, "beat": time.monotonic()}
        if panels is not None:
            widget.panels = panels

    def _update_static(self) -> None:
        with self._work:
            self._static_due = 0.0
            static, widget = self._static, self._widget
        if widget is not None:
            widget.snapshot = self._snapshot()
        if static is not None:
            static()


def _little(column: array[Any]) -> bytes:
    """A column as bytes, least significant first: what the view's typed arrays take."""
    if sys.byteorder == "big":
        column = array(column.typecode, column)
        column.byteswap()
    return column.tobytes()
