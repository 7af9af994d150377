"""From a pane to its front end: what is new, in numbered batches, from a background thread.

At most 15 times a second the thread sends the rows that came since, as a few batches. A front end
that starts late, reconnects or misses a batch sees that by the numbers and asks again. The thread
ends when there is nothing to do.
"""

from __future__ import annotations

import sys
import threading
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from .rows import Rows

if TYPE_CHECKING:
    from ._widget import LogWidget

#: Seconds between two batches.
INTERVAL: Final = 1 / 15
#: Most of one batch, rows and characters of text: what a page takes in without standing still.
#: So many of them are sent at a time.
BATCH_ROWS: Final = 7_000
BATCH_CHARACTERS: Final = 700_000
BATCHES: Final = 3
#: The saved notebook's text follows once the log was quiet that long, and at least that often.
QUIET, AT_LEAST = 1.0, 10.0
#: While no view has spoken, the first rows are sent again after so many seconds: a view that
#: starts during the cell may not be heard before the cell has ended.
AGAIN: Final = (0.3, 0.7, 1.5, 3.0)
AGAIN_ROWS: Final = 5_000
#: Seconds without work after which the thread ends.
LINGER: Final = 2.0


class Content(Protocol):
    """What is brought to the front end; each method is called with the lock held."""

    def rows(self) -> Rows:
        """All rows."""

    def head(self) -> dict[str, Any]:
        """All that is small: title, state, counts, buttons."""

    def panels(self) -> list[str]:
        """Static HTML above the rows."""

    def fixes(self) -> list[dict[str, Any]]:
        """What buttons in the panels apply."""

    def snapshot(self) -> dict[str, Any]:
        """The first and last rows, for the widget's own state."""


class Feed:
    """Sends ``content`` to a widget. ``lock`` guards the content and what is here."""

    def __init__(self, content: Content, lock: threading.Condition) -> None:
        self._content = content
        self._work = lock
        # Held while talking to the front end; taken before _work. While the saved form is made,
        # which takes as long as the log is, the other one is held, and is taken before both.
        self._sending, self._saving = threading.Lock(), threading.Lock()
        #: The widget, between :meth:`attach` and :meth:`close`.
        self.widget: LogWidget | None = None
        self._static: Callable[[], object] | None = None
        self._thread: threading.Thread | None = None
        self._sent = 0
        self._sent_once = False
        self._head_changed = self._panels_changed = False
        self._head_sent: dict[str, Any] | None = None
        self._answer_due = False  # a view has spoken: the head line goes out, changed or not
        self._again: list[float] | None = None  # not planned yet
        self._static_due = self._static_latest = 0.0

    def attach(
        self, on_message: Callable[[Any, Any, Any], None], static: Callable[[], object] | None
    ) -> LogWidget:
        """Make the widget. ``static`` is called when the saved form should follow."""
        from ._widget import new_widget

        with self._sending:
            if self.widget is None:
                with self._work:
                    content = self._content
                    state: dict[str, Any] = {"head": content.head(), "fixes": content.fixes()}
                    state["panels"] = content.panels()
                    state["snapshot"] = content.snapshot()
                self.widget = new_widget(**state)
                self.widget.on_msg(on_message)
                self._static = static
            return self.widget

    def changed(self, first: int | None = None, *, panels: bool = False) -> None:
        """The content has changed, rows from number ``first`` on (the lock is held)."""
        if first is not None:
            self._sent = min(self._sent, first)
        self._head_changed = True
        self._panels_changed |= panels
        now = time.monotonic()
        if not self._static_due:
            self._static_latest = now + AT_LEAST
        self._static_due = min(now + QUIET, self._static_latest)
        self._wake()

    def heard(self, ask_from: int | None = None) -> None:
        """A view has spoken, and wants rows from a number on (the lock is held)."""
        self._again = []
        self._head_changed = self._answer_due = True
        if ask_from is not None:
            self._sent = min(self._sent, max(ask_from, 0))
            self._sent_once = False
        self._wake()

    def tell(self, tab: str, content: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """Send what a tab of the pane says to every view of it; may be called in any thread."""
        with self._sending:
            if self.widget is not None:
                self.widget.send({**content, "type": "tab", "tab": tab}, list(buffers))

    def flush(self) -> None:
        """Bring everything to the front end and into the notebook now, before returning."""
        with self._sending:
            self._send()  # the first batch at once; a long log's rest follows
        self._update_static()

    def settle(self) -> None:
        """The same, where something has changed that the notebook does not have yet."""
        if self._static_due:
            self.flush()

    def close(self) -> None:
        """Take the widget away from the front end."""
        with self._sending:
            widget, self.widget = self.widget, None
            self._static = None
            if widget is not None:
                widget.layout.close()  # a widget of its own
                widget.close()

    # -- the background thread ------------------------------------------------------------------

    def _wake(self) -> None:
        if self.widget is None or sys.is_finalizing():
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
                if self.widget is None:
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
                        self._send_again()
                update = bool(self._static_due) and self._static_due <= now
            try:
                with self._sending:
                    for _ in range(BATCHES):
                        self._send()
                        if self._sent >= self._content.rows().total:
                            break
                if update:
                    self._update_static()
            except BaseException as error:
                with self._work:
                    self._thread = None  # the next change tries again
                if isinstance(error, _unreachable()):
                    return
                raise  # a defect of ours: the thread's traceback says so
            idle_since = time.monotonic()
            time.sleep(INTERVAL)

    def _send_again(self) -> None:
        assert self._again
        self._again.pop(0)
        rows = self._content.rows()
        if rows.total <= AGAIN_ROWS:
            self._sent, self._sent_once = rows.base, False
            self._head_changed = self._answer_due = self._panels_changed = True

    def _pending(self) -> bool:
        return (
            self._head_changed
            or self._panels_changed
            or self._sent < self._content.rows().total
            or not self._sent_once
        )

    def _send(self) -> None:
        """Send the next batch and whatever else is new (``_sending`` is held)."""
        with self._work:
            widget = self.widget
            if widget is None:
                return
            rows = self._content.rows()
            batch = rows.batch(self._sent, BATCH_ROWS, BATCH_CHARACTERS)
            base, total = rows.base, rows.total
            names = {"drivers": list(rows.drivers), "components": dict(rows.components)}
            self._sent = batch.first + len(batch.texts)
            new = bool(batch.texts) or not self._sent_once
            self._sent_once = True
            head = self._content.head() if self._head_changed else None
            if head == self._head_sent and not self._answer_due:
                head = None  # new rows alone
            self._answer_due = False
            panels = self._content.panels() if self._panels_changed else None
            fixes = self._content.fixes() if self._panels_changed else []
            self._head_changed = self._panels_changed = False
            if self._again is None and total <= AGAIN_ROWS:
                now = time.monotonic()
                self._again = [now + after for after in AGAIN]
        if new:
            content = {"type": "rows", "first": batch.first, "base": base, "total": total}
            content |= names
            text = "\n".join(batch.texts).encode("utf-8")
            columns = (_little(each) for each in (batch.times, batch.meta, batch.origin))
            times, meta, origin = columns
            widget.send(content, [times, meta, text, origin])
        if head is not None:
            self._head_sent = head
            # Unequal each time, so that it is sent even when nothing else has changed.
            widget.head = {**head, "beat": time.monotonic()}
        if panels is not None:
            with widget.hold_sync():
                widget.fixes, widget.panels = fixes, panels

    def _update_static(self) -> None:
        with self._saving:
            with self._sending, self._work:
                self._static_due = 0.0
                static, widget = self._static, self.widget
                snapshot = self._content.snapshot() if widget is not None else {}
            with self._sending:
                if widget is not None and widget is self.widget:
                    widget.snapshot = snapshot
            if static is not None:
                static()


def _unreachable() -> tuple[type[Exception], ...]:
    """What sending raises where the kernel goes down, or its front end is gone.

    Sockets and event loops that were closed; ZeroMQ's error is no OSError.
    """
    zmq = sys.modules.get("zmq")
    return (OSError, RuntimeError) if zmq is None else (OSError, RuntimeError, zmq.ZMQError)


def _little(column: array[Any]) -> bytes:
    """A column as bytes, least significant first: what the view's typed arrays take."""
    if sys.byteorder == "big":
        column = array(column.typecode, column)
        column.byteswap()
    return column.tobytes()
