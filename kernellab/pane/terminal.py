"""What a pane is in a plain terminal: lines, printed as they come."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from ..prints import parts_of, singles
from ..protocol import BugcheckEvent, DbgPrint, Dropped, ErrorEvent, Event, State, Violation
from .fixes import diff_text
from .text import (
    Rules,
    Source,
    bugcheck_text,
    diagnostic_text,
    explain_hint,
    headline,
    level_name,
    one_line,
    printable,
    stop_text,
    timings_text,
    violation_text,
)

if TYPE_CHECKING:
    from .tabs import Tab

#: States that are not worth a line.
_ON_ITS_WAY: Final = ("building", "connecting", "loading", "built", "")
#: States whose reason comes as an event of its own, with its place.
_EXPLAINED: Final = ("bug check", "timed out", "interrupted")

_BOLD, _RED, _YELLOW, _DIM = "1", "1;31", "33", "2"
#: The line of the cell that a report points at, and the user's own frames.
_POINTED: Final = re.compile(r"^ +> .*$", re.MULTILINE)


class TextPane:
    """A :class:`~.log.LogPane` for terminals; the same methods, each line written at once.

    ``write`` takes text, newlines included; standard output where none is given (looked up at
    each call: IPython's prompt replaces it so that output stays above the prompt). ``several``:
    each line begins with its driver's name.
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
        write: Callable[[str], object] | None = None,
        several: bool = False,
    ) -> None:
        self.title = one_line(title)
        self.id = ""
        self._source, self._rules = source, rules
        self._explained: set[str] = set()  # rules that something was said of
        self._write = write or _standard_output
        self._colours = _has_colours if write is None else _never
        self._state = ""
        self._lock = threading.Lock()
        self._several = several
        self._line_open = False
        self._printed = ""  # the driver of the last line
        self._last = ("", "")
        self._timings = ""

    def add(self, events: Sequence[Event]) -> None:
        """Print events."""
        with self._lock:
            for event in chain.from_iterable(map(singles, parts_of(events))):
                if isinstance(event, DbgPrint):
                    self._print(event)
                elif isinstance(event, Violation):
                    rules = None if event.rule in self._explained else self._rules
                    self._explained.add(event.rule)
                    self._report(violation_text(event, self._source, rules), _YELLOW)
                elif isinstance(event, BugcheckEvent):
                    self._say_state("bug check", "")
                    self._report(bugcheck_text(event, self._source), _RED)
                elif isinstance(event, Dropped):
                    self._say(self._paint(f"… {event.count:,} events were lost here", _YELLOW))
                elif isinstance(event, ErrorEvent) and event.frames:
                    self._report(stop_text(event, self._source), _RED)
                elif isinstance(event, ErrorEvent):
                    self._say(self._paint(f"error: {one_line(event.message)}", _RED))
                elif isinstance(event, State):
                    self._take_state(event)

    def set_state(self, state: str, detail: str = "") -> None:
        """Say what the driver's state is now, unless it is only on its way."""
        with self._lock:
            self._state = state
            # Running, and a bug check, are said in their order among the prints: see add().
            if state not in ("running", "bug check"):
                self._say_state(state, "" if state in _EXPLAINED else detail)

    def set_progress(self, done: int, total: int, what: str, state: str = "building") -> None:
        """Nothing: a terminal's log stays short."""

    def set_timings(self, timings: Mapping[str, float] | None = None, **more: float) -> None:
        """Kept, and said with the state."""
        self._timings = timings_text({**(timings or {}), **more})

    def set_diagnostics(self, diagnostics: Sequence[Any]) -> None:
        """Print the compiler's messages, coloured where they have colours (``ansi``)."""
        with self._lock:
            for diagnostic in diagnostics:
                ansi = getattr(diagnostic, "ansi", "")
                coloured = bool(ansi) and self._colours()
                self._say(ansi.rstrip("\n") if coloured else diagnostic_text(diagnostic))
                if diff := diff_text(diagnostic, self._source):
                    self._say(diff)
            if hint := explain_hint(diagnostics):
                self._say(hint)

    def set_built(self, built: Mapping[str, Any]) -> None:
        """Nothing: a terminal's log stays short."""

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

    def settle(self) -> None:
        """A terminal has no saved form."""

    def set_picture(self, svg: str, text: str) -> None:
        """A terminal has no pictures; what is to be seen is there as text where it is asked for."""

    def add_tab(self, tab: Tab) -> None:
        """A terminal has no tabs."""

    def tab_changed(self, name: str) -> None:
        """A terminal has no tabs."""

    def close(self) -> None:
        """Nothing to close."""

    def held(self) -> int:
        """Characters of log that are kept: none, they are printed."""
        return 0

    def _print(self, event: DbgPrint) -> None:
        level = level_name(event.level, event.component)
        text = printable(event.text)
        if self._several and event.driver != self._printed:
            self._end_line()
            self._printed = event.driver
        if level and not self._line_open:
            text = f"[{level}] {text}"
        if self._several:
            name = one_line(event.driver)
            begun = self._line_open
            lines = text.splitlines(keepends=True)
            text = "".join(
                line if begun and not at else f"{name}: {line}" for at, line in enumerate(lines)
            )
        if text:
            self._write(text)
            self._line_open = not text.endswith("\n")

    def _take_state(self, event: State) -> None:
        if event.state == "running":
            self._say_state("running", "")
        elif event.state == "rebooted" and self._state == "loading":
            # Every pane hears of it; the one that is being loaded tells.
            why = f", as it had stopped ({one_line(event.status)})" if event.status else ""
            self._say(self._paint(f"the machine was rebooted{why}", _DIM))

    def _say_state(self, state: str, detail: str) -> None:
        if state in _ON_ITS_WAY:
            self._last = ("", "")  # what comes of it is said, even when it is the same again
            return
        if (state, detail) == self._last:
            return
        self._last = (state, detail)
        said, rest = headline(self.title, state, ""), headline(self.title, state, detail)
        more = rest.removeprefix(said)
        timings = f" [{self._timings}]" if self._timings and state == "running" else ""
        self._say(self._paint(said, _BOLD) + more + timings)

    def _report(self, text: str, colour: str) -> None:
        """Several lines: the first one says what it is, some point at the cell."""
        first, newline, rest = text.partition("\n")
        rest = _POINTED.sub(lambda line: self._paint(line[0], _BOLD), rest)
        self._say(self._paint(first, colour) + newline + rest)

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours() else text

    def _say(self, text: str) -> None:
        self._end_line()
        self._write(text + "\n")

    def _end_line(self) -> None:
        if self._line_open:
            self._write("\n")
            self._line_open = False


def _has_colours() -> bool:
    """Whether standard output shows colours and the user wants them (https://no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(sys.stdout.isatty())


def _never() -> bool:
    return False


def _standard_output(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
