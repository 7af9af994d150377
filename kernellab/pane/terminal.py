"""What a pane is in a plain terminal: lines, printed as they come."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..protocol import BugcheckEvent, DbgPrint, Dropped, ErrorEvent, Event, State, Violation
from .text import (
    bugcheck_text,
    diagnostic_text,
    level_name,
    one_line,
    printable,
    timings_text,
    violation_text,
)

_SAID = ("building", "loading", "built", "")


class TextPane:
    """A :class:`~.log.LogPane` for terminals; the same methods, each line written at once.

    ``write`` takes text, newlines included; standard output where none is given (looked up at
    each call: IPython's prompt replaces it so that output stays above the prompt).
    """

    def __init__(
        self,
        title: str,
        *,
        on_unload: Callable[[], object] | None = None,
        on_reload: Callable[[], object] | None = None,
        source: str | None = None,
        write: Callable[[str], object] | None = None,
    ) -> None:
        self.title = one_line(title)
        self.id = ""
        self._source = source
        self._write = write or _standard_output
        self._lock = threading.Lock()
        self._line_open = False
        self._last = ("", "")
        self._timings = ""

    def add(self, events: Sequence[Event]) -> None:
        """Print events."""
        with self._lock:
            for event in events:
                if isinstance(event, DbgPrint):
                    self._print(event)
                elif isinstance(event, Violation):
                    self._say(violation_text(event))
                elif isinstance(event, BugcheckEvent):
                    self._say(bugcheck_text(event, self._source))
                elif isinstance(event, Dropped):
                    self._say(f"… {event.count:,} events were lost here")
                elif isinstance(event, ErrorEvent):
                    self._say(f"error: {one_line(event.message)}")
                elif isinstance(event, State) and event.state == "rebooted":
                    self._say("the machine was rebooted")

    def set_state(self, state: str, detail: str = "") -> None:
        """Say what the driver's state is now, unless it is only on its way."""
        with self._lock:
            now = (one_line(state), one_line(detail))
            if now == self._last or now[0] in _SAID:
                return
            self._last = now
            more = f" ({now[1]})" if now[1] else ""
            timings = f" [{self._timings}]" if self._timings and state == "running" else ""
            self._say(f"{self.title}: {now[0]}{more}{timings}")

    def set_progress(self, done: int, total: int, what: str) -> None:
        """Nothing: a terminal's log stays short."""

    def set_timings(self, timings: Mapping[str, float] | None = None, **more: float) -> None:
        """Kept, and said with the state."""
        self._timings = timings_text({**(timings or {}), **more})

    def set_diagnostics(self, diagnostics: Sequence[Any]) -> None:
        """Print the compiler's messages, coloured where they have colours (``ansi``)."""
        with self._lock:
            for diagnostic in diagnostics:
                ansi = getattr(diagnostic, "ansi", "")
                self._say(ansi.rstrip("\n") if ansi else diagnostic_text(diagnostic))

    def set_note(self, note: str) -> None:
        """Print a note."""
        with self._lock:
            if note:
                self._say(one_line(note))

    def set_waiting(self, reason: str) -> None:
        """Nothing: a terminal has no buttons that wait."""

    def retire(self) -> None:
        """Nothing to take away."""
        self.finish()

    def finish(self) -> None:
        """End the line, where a print without newline left it open."""
        with self._lock:
            self._end_line()

    def close(self) -> None:
        """Nothing to close."""

    def _print(self, event: DbgPrint) -> None:
        level = level_name(event.level, event.component)
        text = printable(event.text)
        if level and not self._line_open:
            text = f"[{level}] {text}"
        if text:
            self._write(text)
            self._line_open = not text.endswith("\n")

    def _say(self, text: str) -> None:
        self._end_line()
        self._write(text + "\n")

    def _end_line(self) -> None:
        if self._line_open:
            self._write("\n")
            self._line_open = False


def _standard_output(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
